/** Sends one request of a client. Returns the name of the server that answered. Throws on failure. */
export type AskOnce = () => Promise<string>;
