import { stringify } from "yaml";
import { compatibilityValues, compatibilityVersions } from "../compatibility.ts";
import { platformNames, platformValues } from "../platform.ts";
import { profiles } from "../profiles.ts";

export function compatibilityFiles(): Record<string, string> {
  return Object.fromEntries(
    compatibilityVersions.map((version) => [
      `files/compatibility-version-${version}.yaml`,
      stringify(compatibilityValues(version)),
    ]),
  );
}

/** The file of values for each platform. `parts` are the keys of `spec.values` that the chart has. */
export function platformFiles(parts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    platformNames.map((name) => [
      `files/platform-${name}.yaml`,
      stringify(Object.fromEntries(Object.entries(platformValues(name) ?? {}).filter(([key]) => parts.includes(key)))),
    ]),
  );
}

/** The file of values for each profile. `parts` are the keys that the chart has. */
export function profileFiles(parts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    Object.entries(profiles).map(([name, spec]) => [
      `files/profile-${name}.yaml`,
      stringify(
        Object.fromEntries(
          Object.entries({ ...spec.values, meshConfig: spec.meshConfig }).filter(
            ([key, value]) => value !== undefined && parts.includes(key),
          ),
        ),
      ),
    ]),
  );
}
