/** Sends one request of a client. Returns the name of the server that answered. Throws on failure. */
export type AskOnce = () => Promise<string>;

/**
 * How many characters of an unexpected body a report shows. A proxy names the cause of its failure at the end of a long
 * line.
 */
export const shownCharacters = 400;
