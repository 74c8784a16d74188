// Lists the contents of an image as a CycloneDX document: Debian's packages, Node, and npm's packages.
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { DebianPackage } from "./debian-libraries.ts";

export interface Component {
  readonly type: "library" | "application" | "container";
  readonly name: string;
  readonly version: string;
  readonly purl?: string;
  readonly licenses?: readonly { readonly expression: string }[];
}

export function debianComponents(packages: readonly DebianPackage[]): Component[] {
  return packages.map(({ name, version, architecture }) => ({
    type: "library",
    name,
    version,
    purl: `pkg:deb/debian/${encodeURIComponent(name)}@${encodeURIComponent(version)}?arch=${architecture}`,
  }));
}

interface PackageManifest {
  readonly name?: string;
  readonly version?: string;
  readonly license?: string;
}

/** Returns every package below a `node_modules` folder, including nested ones. */
export function npmComponents(modules: string): Component[] {
  const found = new Map<string, Component>();
  for (const file of globSync("**/package.json", { cwd: modules }).sort()) {
    if (!/(?:^|node_modules\/)(?:@[^/]+\/)?[^/@]+\/package\.json$/.test(file)) continue;
    const manifest = JSON.parse(readFileSync(join(modules, file), "utf8")) as PackageManifest;
    const { name, version, license } = manifest;
    if (name === undefined || version === undefined) continue;
    const purl = `pkg:npm/${name.replace("@", "%40")}@${version}`;
    found.set(purl, {
      type: name.startsWith("node-linux-") ? "application" : "library",
      name,
      version,
      purl,
      ...(typeof license === "string" ? { licenses: [{ expression: license }] } : {}),
    });
  }
  return [...found.values()];
}

/**
 * Returns the bill of materials as text. It contains no time and no random number, so that the same components give the
 * same text.
 */
export function billOfMaterials(image: Component, components: readonly Component[]): string {
  const document = {
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    version: 1,
    metadata: { component: image },
    components,
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}
