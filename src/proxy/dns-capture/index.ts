// DNS of the pod, answered by its sidecar. A door of its own: few proxies do it.
export { DnsCapture, type DnsCaptureOptions } from "./dns-capture.ts";
