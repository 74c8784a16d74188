// The content of HBONE's CONNECT beyond HTTP/2.
export { formatAuthority, hbonePort, parseAuthority, type Authority } from "./authority.ts";
export { formatBaggage, parseBaggage } from "./baggage.ts";
export { formatForwarded, parseForwardedHost } from "./forwarded.ts";
export { headerValue, type Headers } from "./headers.ts";
