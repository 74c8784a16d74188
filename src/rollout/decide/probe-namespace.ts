/** The namespace of the probe pods. Each pod is enrolled or injected by its own labels. No application runs there. */
export const probeNamespace = "serin-probes";
