import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { envoyRegistry, ExtAuthzSchema } from "../../wire/envoy/index.ts";
import { ConfigNotes } from "../config/config-check.ts";
import { compileExtAuthz } from "../config/filters/ext-authz-config.ts";
import { ExtAuthzFilter } from "../filters/authorization/ext-authz-filter.ts";
import { standaloneServices } from "../filters/filter-services.ts";
import type { CallCluster } from "../terms/call-cluster.ts";

export const extAuthzName = "envoy.filters.http.ext_authz";

export function extAuthzFilter(config: JsonObject, callCluster: CallCluster): ExtAuthzFilter {
  const services = { ...standaloneServices(), callCluster };
  const message = fromJson(ExtAuthzSchema, { transportApiVersion: "V3", ...config }, { registry: envoyRegistry() });
  return new ExtAuthzFilter(
    extAuthzName,
    compileExtAuthz(message, "test", new ConfigNotes(() => undefined, services)),
    services.statistics,
    "http.in.",
  );
}
