/** Sends one request of a client. Returns the name of the server that answered. Throws on failure. */
export type AskOnce = () => Promise<string>;

/** A report shows as much of an unexpected body. A proxy names the cause of its failure at the end of a long line. */
export const shownCharacters = 400;
