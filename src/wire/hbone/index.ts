// The authority and the headers of HBONE's CONNECT requests.
export { formatAuthority, hbonePort, parseAuthority, type Authority } from "./authority.ts";
export { formatBaggage, parseBaggage } from "./baggage.ts";
export { formatForwarded, parseForwardedHost } from "./forwarded.ts";
export { headerValue, type Headers } from "./headers.ts";
