import {
  HttpInspectorSchema,
  OriginalDstSchema,
  OriginalSrcSchema,
  TlsInspectorSchema,
} from "../../wire/envoy/index.ts";
import { originalDestinationFilter } from "./cluster.ts";
import { filterInit, type FilterInit } from "./filter-init.ts";

const inspectedBytes = 512;

/** The filter that restores the original destination of a redirected or tunnelled connection. */
export function originalDestination(): FilterInit {
  return filterInit(originalDestinationFilter, OriginalDstSchema, {});
}

/** The mark of the pod's own traffic in mode TPROXY. The redirect's rules let it pass, and so do upstream's. */
const transparentMark = 1337;

/** The filter with which connections to the application have the client's address. */
export function originalSource(): FilterInit {
  return filterInit("envoy.filters.listener.original_src", OriginalSrcSchema, { mark: transparentMark });
}

/** The filter that reads the server name and ALPN names of a client's TLS. */
export function tlsInspector(): FilterInit {
  return filterInit("envoy.filters.listener.tls_inspector", TlsInspectorSchema, {
    initialReadBufferSize: inspectedBytes,
  });
}

/** The filter that detects HTTP and its version from the first bytes. */
export function httpInspector(): FilterInit {
  return filterInit("envoy.filters.listener.http_inspector", HttpInspectorSchema, {});
}
