import {
  HttpInspectorSchema,
  OriginalDstSchema,
  OriginalSrcSchema,
  TlsInspectorSchema,
} from "../../wire/envoy/index.ts";
import { originalDestinationFilter } from "./cluster.ts";
import { filterInit, type FilterInit } from "./filter-init.ts";

const inspectedBytes = 512;

export function originalDestination(): FilterInit {
  return filterInit(originalDestinationFilter, OriginalDstSchema, {});
}

/**
 * The packet mark of the pod's own traffic in mode TPROXY. The redirect rules of Serin and of upstream let marked
 * traffic pass.
 */
const transparentMark = 1337;

/** Gives connections to the application the client's source address. */
export function originalSource(): FilterInit {
  return filterInit("envoy.filters.listener.original_src", OriginalSrcSchema, { mark: transparentMark });
}

export function tlsInspector(): FilterInit {
  return filterInit("envoy.filters.listener.tls_inspector", TlsInspectorSchema, {
    initialReadBufferSize: inspectedBytes,
  });
}

export function httpInspector(): FilterInit {
  return filterInit("envoy.filters.listener.http_inspector", HttpInspectorSchema, {});
}
