// The pod's DNS, answered by its sidecar. It has its own door, because few proxies need it.
export { DnsCapture, type DnsCaptureOptions } from "./dns-capture.ts";
