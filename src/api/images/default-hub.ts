export const defaultHub = "ghcr.io/serin-mesh";
