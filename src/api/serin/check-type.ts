export const checkTypes = [
  "request-success-rate",
  "request-duration",
  "request-share",
  "tcp-connect-failures",
  "pod-health",
  "restarts",
  "xds-convergence",
  "xds-nacks",
  "mtls-probe-matrix",
  "certificate-roots",
  "error-log-rate",
  "query",
  "webhook",
  "approval",
] as const;
export type CheckType = (typeof checkTypes)[number];
