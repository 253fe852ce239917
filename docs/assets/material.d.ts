/** Of Material for MkDocs: tells of each page, also of one that was opened without loading the site anew. */
declare const document$: { subscribe(act: () => void): void };
