/** The reason and message of a fault. Undefined if there is none. */
export type Verdict = { readonly reason: string; readonly message: string } | undefined;
