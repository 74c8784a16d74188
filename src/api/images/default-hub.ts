/** The registry of a release's images, unless `--set hub=…` sets another one. */
export const defaultHub = "ghcr.io/serin-mesh";
