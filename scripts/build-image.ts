// Writes all images that the manifests name into one OCI layout, without Docker. An image holds Debian's C library,
// Node and the compiled package, for amd64 and arm64. Samples and addons use the same layers. Each image has a bill of
// materials.
// `serin image save`, `load` and `push` read the layout, and so does `skopeo copy oci:DIR:NAME …`.
//   npm run image [-- --output DIR] [--arch amd64,arm64] [--version V] [--hub HUB] [--revision COMMIT]
import { globSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { defaultHub } from "../src/api/images/index.ts";
import { parseImageCatalogue } from "../src/cluster/images/parse-catalogue.ts";
import { billOfMaterials, debianComponents, npmComponents, type Component } from "./image/bill-of-materials.ts";
import { aliasScripts, planImages, type ImageKind } from "./image/image-plan.ts";
import {
  architectures,
  isArchitecture,
  programTrees,
  systemTree,
  type Architecture,
  type ProgramInput,
} from "./image/layer-trees.ts";
import { OciLayout, type Layer } from "./image/oci-layout.ts";
import { runProgram } from "./image/run-program.ts";
import { scriptArguments } from "./arguments/script-arguments.ts";

const root = join(import.meta.dirname, "..");
const sourceUrl = "https://github.com/serin-mesh/serin";
const parts = ["system", "node", "packages", "samples", "program"] as const;
type Part = (typeof parts)[number];

/** The parts of an image, by its kind. An image has only the parts that it uses. */
const partsOf: Readonly<Record<ImageKind, readonly Part[]>> = {
  component: ["system", "node", "packages", "program"],
  addon: ["system", "node", "packages", "program"],
  sample: ["system", "node", "packages", "samples"],
};

interface Variant {
  readonly architecture: Architecture;
  readonly layers: Readonly<Record<Part, Layer>>;
  readonly components: Readonly<Record<Part, readonly Component[]>>;
}

interface Package {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly license: string;
}

const { values } = scriptArguments(
  {
    command: "npm run image --",
    help: {
      output: "the directory of the OCI layout (default: .cache/image)",
      arch: "architectures, separated by commas (default: all)",
      version: "the tag of the images (default: the version of the package)",
      hub: `the beginning of the images' names (default: ${defaultHub})`,
      revision: "the commit for the label org.opencontainers.image.revision",
    },
  },
  {
    output: { type: "string" },
    arch: { type: "string" },
    version: { type: "string" },
    hub: { type: "string" },
    revision: { type: "string" },
  },
);
const chosen = (values.arch ?? Object.keys(architectures).join(",")).split(",");
const unknown = chosen.filter((name) => !isArchitecture(name));
if (unknown.length > 0) {
  process.stderr.write(
    `--arch: ${unknown.join(", ")} is not known; known are ${Object.keys(architectures).join(", ")}\n`,
  );
  process.exit(1);
}

const own = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Package;
const version = values.version ?? own.version;
const output = resolve(values.output ?? join(root, ".cache/image"));
// File modes in the layers must not depend on the umask of the user who builds them.
process.umask(0o022);
const scratch = mkdtempSync(join(tmpdir(), "serin-image-"));
try {
  build(chosen.filter(isArchitecture), `${output}.new`);
  rmSync(output, { recursive: true, force: true });
  renameSync(`${output}.new`, output);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

function build(wanted: readonly Architecture[], staged: string): void {
  const catalogue = parseImageCatalogue(
    readFileSync(join(root, "manifests/images.yaml"), "utf8"),
    "manifests/images.yaml",
  );
  const images = planImages({
    catalogue,
    hub: values.hub ?? defaultHub,
    version,
    manifests: globSync("samples/**/*.yaml", { cwd: root })
      .sort()
      .map((file) => readFileSync(join(root, file), "utf8")),
  });
  const input = { root, archive: packPackage(), version, scripts: aliasScripts(catalogue) };
  const layout = new OciLayout(staged);
  layout.open();
  const variants = wanted.map((architecture) => buildVariant(architecture, input, layout));
  for (const image of images) {
    const used = partsOf[image.kind];
    layout.addImage(
      image.reference,
      {
        entrypoint: image.entrypoint,
        arguments: image.arguments,
        user: image.user,
        environment: { ...environmentOf(), ...image.environment },
        labels: labelsOf(image.title),
      },
      variants.map(({ architecture, layers }) => ({
        platform: { os: "linux", architecture },
        layers: used.map((part) => layers[part]),
      })),
    );
    for (const { architecture, components } of variants)
      layout.addDocument(
        `sbom/${image.reference.replaceAll(/[/:]/g, "_")}.${architecture}.cdx.json`,
        billOfMaterials(
          { type: "container", name: image.reference, version },
          used.flatMap((part) => components[part]),
        ),
      );
  }
  layout.close();
  process.stdout.write(`${images.map(({ reference }) => reference).join("\n")}\n${output}\n`);
}

function packPackage(): string {
  const packed = JSON.parse(
    runProgram(
      "npm",
      ["pack", "--json", "--pack-destination", scratch, "--loglevel=error", "--foreground-scripts=false"],
      { cwd: root },
    ),
  ) as [{ filename: string }];
  return join(scratch, packed[0].filename);
}

function buildVariant(architecture: Architecture, input: ProgramInput, layout: OciLayout): Variant {
  const place = join(scratch, architecture);
  const system = join(place, "system");
  const debian = systemTree(architecture, system);
  const trees: Readonly<Record<Part, string>> = { system, ...programTrees(architecture, input, place) };
  const layerOf = (part: Part): Layer => {
    const layer = layout.addLayer(trees[part]);
    process.stdout.write(`${architecture}: ${part}, ${(layer.descriptor.size / 1024 / 1024).toFixed(1)} MiB\n`);
    return layer;
  };
  const modules = (part: Part): Component[] => npmComponents(join(trees[part], "opt/serin/node_modules"));
  const serin: Component = {
    type: "application",
    name: own.name,
    version,
    purl: `pkg:npm/${own.name}@${version}`,
    licenses: [{ expression: own.license }],
  };
  return {
    architecture,
    layers: {
      system: layerOf("system"),
      node: layerOf("node"),
      packages: layerOf("packages"),
      samples: layerOf("samples"),
      program: layerOf("program"),
    },
    components: {
      system: debianComponents(debian),
      node: modules("node"),
      packages: modules("packages"),
      samples: [serin],
      program: [serin],
    },
  };
}

function environmentOf(): Record<string, string> {
  return { PATH: "/usr/local/bin:/usr/bin:/bin", HOME: "/tmp", NODE_COMPILE_CACHE: "/tmp/serin" };
}

function labelsOf(title: string): Record<string, string> {
  const prefix = "org.opencontainers.image";
  const revision = values.revision ?? currentRevision();
  return {
    [`${prefix}.title`]: title,
    [`${prefix}.description`]: own.description,
    [`${prefix}.version`]: version,
    [`${prefix}.licenses`]: own.license,
    [`${prefix}.source`]: sourceUrl,
    ...(revision === undefined ? {} : { [`${prefix}.revision`]: revision }),
  };
}

/** Returns the commit of the checkout, or undefined outside a checkout. */
function currentRevision(): string | undefined {
  try {
    return runProgram("git", ["rev-parse", "HEAD"], { cwd: root }).trim();
  } catch {
    return undefined;
  }
}
