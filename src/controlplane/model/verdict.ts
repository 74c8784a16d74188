/** The reason and message of a fault; undefined when there is none. */
export type Verdict = { readonly reason: string; readonly message: string } | undefined;
