/** Where the images of a release are, unless somebody says another place (`--set hub=…`). */
export const defaultHub = "ghcr.io/serin-mesh";
