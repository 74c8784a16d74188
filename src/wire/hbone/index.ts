// What HBONE puts into a CONNECT beyond HTTP/2 itself.
export { formatAuthority, hbonePort, parseAuthority, type Authority } from "./authority.ts";
export { formatBaggage, parseBaggage, type Baggage } from "./baggage.ts";
export { formatForwarded, parseForwardedHost } from "./forwarded.ts";
export { headerValue, type Headers } from "./headers.ts";
