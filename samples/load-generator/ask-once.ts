/** One request of a client; answers who answered. Throws what went wrong. */
export type AskOnce = () => Promise<string>;
