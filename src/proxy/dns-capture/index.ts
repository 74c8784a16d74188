// The pod's DNS, answered by its sidecar. It has its own door, because few proxies need it.
export { DnsCapture } from "./dns-capture.ts";
