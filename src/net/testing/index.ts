// Helpers for tests of this part and of others.
export { TestAuthority, type Issued } from "./certificates.ts";
export { echo } from "./echo.ts";
export { serviceWithEndedBackend } from "./ended-backend.ts";
export { freePort } from "./free-port.ts";
export { requireOwnNetwork } from "./own-network.ts";
export { Recorder } from "./recorder.ts";
