import { HttpInspectorSchema, OriginalDstSchema, TlsInspectorSchema } from "../../wire/envoy/index.ts";
import { originalDestinationFilter } from "./cluster.ts";
import { filterInit, type FilterInit } from "./filter-init.ts";

const inspectedBytes = 512;

/** Restores the original destination of a redirected or tunnelled connection. */
export function originalDestination(): FilterInit {
  return filterInit(originalDestinationFilter, OriginalDstSchema, {});
}

/** Server name and ALPN of a client's TLS. */
export function tlsInspector(): FilterInit {
  return filterInit("envoy.filters.listener.tls_inspector", TlsInspectorSchema, {
    initialReadBufferSize: inspectedBytes,
  });
}

/** Whether the first bytes are HTTP, and of which version. */
export function httpInspector(): FilterInit {
  return filterInit("envoy.filters.listener.http_inspector", HttpInspectorSchema, {});
}
