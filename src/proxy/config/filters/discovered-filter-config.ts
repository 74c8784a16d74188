import type { Any } from "@bufbuild/protobuf/wkt";
import { ExtensionConfigSourceSchema, type ExtensionConfigSource } from "../../../wire/envoy/index.ts";
import { DiscoveredFilter } from "../../filters/discovered-filter.ts";
import type { HttpFilter } from "../../filters/http-filter.ts";
import { checkFields, durationOr, invalid, unsupported, type ConfigNotes } from "../config-check.ts";
import { contentTypeUrl } from "../typed-struct.ts";

/**
 * Compiles a filter from its configuration. Returns undefined if the filter has no effect on requests, and `unknown` if
 * this proxy does not have the filter.
 */
export type CompileFilter = (config: Any, where: string) => HttpFilter | undefined | "unknown";

/** Envoy's default of `initial_fetch_timeout`. */
const defaultWaitMs = 15_000;

export function compileDiscovered(
  name: string,
  source: ExtensionConfigSource,
  compile: CompileFilter,
  where: string,
  notes: ConfigNotes,
): HttpFilter {
  checkFields(ExtensionConfigSourceSchema, source, `${where}: configDiscovery`, notes, {
    used: ["configSource", "defaultConfig", "applyDefaultConfigWithoutWarming", "typeUrls"],
  });
  const from = source.configSource?.configSourceSpecifier.case;
  if (from !== "ads") throw unsupported(where, `configDiscovery from ${from ?? "no source"}, other than ads,`);
  const { defaultConfig, applyDefaultConfigWithoutWarming: atOnce } = source;
  if (atOnce && defaultConfig === undefined)
    throw invalid(where, "applyDefaultConfigWithoutWarming needs a defaultConfig");
  const make = (config: Any): HttpFilter => {
    const type = contentTypeUrl(config);
    if (!source.typeUrls.includes(type))
      throw invalid(where, `its configuration is a ${type}, expected ${source.typeUrls.join(" or ")}`);
    const made = compile(config, where);
    if (made === "unknown") throw unsupported(where, `the configuration ${type}`);
    return made ?? { name, onRequest: () => undefined };
  };
  const fetchMs = durationOr(source.configSource?.initialFetchTimeout, defaultWaitMs);
  const filter = new DiscoveredFilter({
    name,
    compile: make,
    fallback: defaultConfig === undefined ? undefined : make(defaultConfig),
    waitMs: atOnce ? 0 : fetchMs === 0 ? Infinity : fetchMs,
    clock: notes.services.clock,
  });
  const known = notes.services.extensionConfig?.(name);
  if (known !== undefined) void filter.prepare(known)();
  return filter;
}
