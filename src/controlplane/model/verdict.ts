/** A fault, or undefined if there is none. */
export type Verdict = { readonly reason: string; readonly message: string } | undefined;
