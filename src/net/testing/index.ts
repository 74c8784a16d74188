// What tests of other parts need of this one.
export { TestAuthority, type Issued } from "./certificates.ts";
export { freePort } from "./free-port.ts";
export { requireOwnNetwork } from "./own-network.ts";
