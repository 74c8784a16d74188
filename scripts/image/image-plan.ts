// Decides which images a release has, and the name, program and user of each. It reads the image catalogue, from which
// the lab also learns how to run them.
import { matchesImagePattern, parseImageReference } from "../../src/cluster/images/image-reference.ts";
import type { ImageEntry } from "../../src/cluster/images/index.ts";

/** Components run the mesh. Samples are the programs of `samples/`. Addons are named as their manifests name them. */
export type ImageKind = "component" | "addon" | "sample";

export interface PlannedImage {
  /** The full reference, as a manifest names it: `ghcr.io/serin-mesh/pilot:0.1.0`. */
  readonly reference: string;
  readonly title: string;
  readonly kind: ImageKind;
  readonly entrypoint: readonly string[];
  readonly arguments: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly user: string;
}

export interface PlanInput {
  readonly catalogue: readonly ImageEntry[];
  readonly hub: string;
  readonly version: string;
  /** Manifests as text. An image that they name is built if the catalogue has a program of ours for it. */
  readonly manifests: readonly string[];
}

const serin = "/usr/local/bin/serin";
const node = "/usr/local/bin/node";
export const treeInImage = "/opt/serin";

export function planImages({ catalogue, hub, version, manifests }: PlanInput): PlannedImage[] {
  const components = catalogue
    .filter(({ release }) => release === "tag")
    .flatMap((entry) =>
      entry.images.map((pattern) => {
        const title = pattern.slice(pattern.lastIndexOf("/") + 1);
        return planned(entry, "component", `${hub}/${title}:${version}`);
      }),
    );
  const namedImages = [...new Set(manifests.flatMap((text) => imagesIn(text)))].sort();
  const others = namedImages.flatMap((image) => {
    const { repository, tag } = parseImageReference(image);
    const entry = catalogue.find(({ images }) => images.some((pattern) => matchesImagePattern(pattern, repository)));
    const kind = entry === undefined ? undefined : kindOf(entry);
    return entry === undefined || kind === undefined ? [] : [planned(entry, kind, `${repository}:${tag}`)];
  });
  return [...components, ...others];
}

/**
 * Returns the kind of an image that Serin builds. Returns undefined for components, and for images of other projects,
 * which users pull from their own registries.
 */
function kindOf({ release, entrypoint, images }: ImageEntry): ImageKind | undefined {
  if (release === "tag" || images.some((pattern) => pattern.includes("/metallb/"))) return undefined;
  const [program, first = ""] = entrypoint;
  if (program === "serin") return "addon";
  return program === "node" && first.startsWith("samples/") ? "sample" : undefined;
}

function planned(entry: ImageEntry, kind: ImageKind, reference: string): PlannedImage {
  const [program = "", ...rest] = entry.entrypoint;
  const { repository, tag } = parseImageReference(reference);
  return {
    reference,
    title: repository.slice(repository.lastIndexOf("/") + 1),
    kind,
    entrypoint: [program === "serin" ? serin : node, ...rest.map(inTree)],
    arguments: entry.arguments,
    environment: Object.fromEntries(
      Object.entries(entry.environment).map(([name, value]) => [name, value.replaceAll("{tag}", tag)]),
    ),
    user: entry.user,
  };
}

function inTree(word: string): string {
  return word.includes("/") && !word.startsWith("/") ? `${treeInImage}/${word}` : word;
}

function imagesIn(manifest: string): string[] {
  return [...manifest.matchAll(/^\s*(?:- )?image:\s*["']?([^\s"'#]+)/gm)].map((found) => found[1] ?? "");
}

/**
 * Returns scripts by their path in the image. Each one replaces a command that a manifest uses as another name of an
 * image's entrypoint.
 */
export function aliasScripts(catalogue: readonly ImageEntry[]): ReadonlyMap<string, string> {
  const scripts = new Map<string, string>();
  for (const { entrypoint, aliases } of catalogue) {
    const [program = "", ...rest] = entrypoint;
    if (program !== "serin" && program !== "node") continue;
    const command = [program === "serin" ? serin : node, ...rest.map(inTree)].join(" ");
    for (const alias of aliases) {
      const path = alias.startsWith("/") ? alias : `/usr/local/bin/${alias}`;
      if (path !== serin && path !== node) scripts.set(path, `#!/bin/sh\nexec ${command} "$@"\n`);
    }
  }
  return scripts;
}
