// Test support of this part for the tests of other parts.
export { TestAuthority, type Issued } from "./certificates.ts";
export { echo } from "./echo.ts";
export { serviceWithEndedBackend } from "./ended-backend.ts";
export { freePort } from "./free-port.ts";
export { requireOwnNetwork } from "./own-network.ts";
export { Recorder } from "./recorder.ts";
