import { maxLevels } from "../../../base/field-types/index.ts";
import { isTree } from "../../../base/index.ts";

/**
 * Maps with strings as values. Their keys are names that users choose, such as labels or environment variables, and
 * must not be converted.
 */
const texts: ReadonlySet<string> = new Set([
  "environmentVariables",
  "includeAdditionalHeadersInCheck",
  "labels",
  "matchLabels",
  "proxyMetadata",
  "runtimeValues",
  "to",
]);
/** Maps whose keys users choose, too, but whose values are messages with fields. */
const messages: ReadonlySet<string> = new Set(["customTags", "networks"]);

const originalName = /^[a-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)+$/;

/**
 * The settings of a mesh or a proxy with the JSON names of protobuf's fields. Istio also reads the names of the
 * definition, such as `resource_detectors`, and some of its guides use them. If a field has both names, both stay, so
 * that the parser reports the second one.
 */
export function withJsonNames(settings: unknown, level = 0): unknown {
  if (level > maxLevels) return settings;
  if (Array.isArray(settings)) return settings.map((element) => withJsonNames(element, level + 1));
  if (!isTree(settings)) return settings;
  return Object.fromEntries(
    Object.entries(settings).map(([key, value]) => {
      const json = originalName.test(key) ? jsonName(key) : key;
      const name = json !== key && Object.hasOwn(settings, json) ? key : json;
      if (texts.has(name)) return [name, value];
      return [name, messages.has(name) ? valuesOf(value, level + 1) : withJsonNames(value, level + 1)];
    }),
  );
}

function valuesOf(value: unknown, level: number): unknown {
  return isTree(value)
    ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withJsonNames(inner, level + 1)]))
    : value;
}

function jsonName(name: string): string {
  return name.replaceAll(/_([A-Za-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}
