/** Labels and annotations that the engine writes, and others act on (docs/contracts.md). */
export const ztunnelRevisionLabel = "serin.dev/ztunnel-rev";
export const ztunnelOwnerAnnotation = "serin.dev/ztunnel-owner";
