import { X509Certificate } from "node:crypto";
import { createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { Option, type Command } from "commander";
import { userError, withoutEnd } from "../../base/index.ts";
import type { CliContext } from "../context.ts";
import { renderTable } from "../terminal/table.ts";
import { archiveBytes, dockerArchive, ociArchive } from "./image-archive.ts";
import { blobsOf, chooseImages, ImageLayout, shortName, type Choice, type LayoutImage } from "./image-layout.ts";
import { importImages } from "./import-images.ts";
import { destinationOf, ImagePusher, type Destination } from "./push-images.ts";
import { RegistryClient } from "./registry-client.ts";
import { credentialsOf, type CredentialFlags } from "./registry-credentials.ts";

interface LayoutFlags {
  readonly layout?: string;
}

interface SaveFlags extends LayoutFlags {
  readonly output: string;
  readonly format: "oci" | "docker";
  readonly arch?: string;
  readonly all?: boolean;
}

interface LoadFlags extends LayoutFlags {
  readonly address?: string;
  readonly arch: string;
  readonly ctr: string;
  readonly all?: boolean;
}

interface PushFlags extends LayoutFlags, CredentialFlags {
  readonly hub?: string;
  readonly plainHttp?: boolean;
  readonly caFile?: string;
}

const mebibyte = 1024 * 1024;
/** The name of this machine's architecture in images. */
const machineArchitecture = process.arch === "x64" ? "amd64" : process.arch;

export function imageCommands(program: Command, context: CliContext): void {
  const group = program.command("image").description("list, save, load or push the images that `npm run image` wrote");
  layoutFlag(group.command("list").description("list the images with their architectures and compressed sizes")).action(
    async (flags: LayoutFlags) => await list(flags, context),
  );
  layoutFlag(
    group
      .command("save [names...]")
      .description("write images into one archive; without names, write the images of the mesh")
      .requiredOption("-o, --output <file>", "the archive")
      .addOption(
        new Option("--format <format>", "oci for ctr and kind, docker for docker load")
          .choices(["oci", "docker"])
          .default("oci"),
      )
      .option(
        "--arch <architecture>",
        "write only this architecture (default for a docker archive: this machine's architecture)",
      )
      .option(...allFlag),
  ).action(async (names: readonly string[], flags: SaveFlags) => await save(names, flags, context));
  layoutFlag(
    group
      .command("load [names...]")
      .description(
        "import images into this machine's containerd, where kubelets find them; without names, import the images of the mesh",
      )
      .option(...allFlag)
      .option("--address <socket>", "the socket of containerd (default: the default of ctr)")
      .option("--arch <architecture>", "the architecture", machineArchitecture)
      .option("--ctr <command>", "the client of containerd, such as `k3s ctr`", "ctr"),
  ).action(async (names: readonly string[], flags: LoadFlags) => await load(names, flags, context));
  layoutFlag(
    group
      .command("push [names...]")
      .description(
        "push images to a registry for all architectures; without names, push all images under --hub, or those of the mesh",
      )
      .option("--hub <registry/path>", "the registry and path (default: those in the images' names)")
      .option("--plain-http", "connect to the registry by HTTP without TLS")
      .option("--ca-file <file>", "a PEM file with the certificates of the registry's certificate authority")
      .option("--username <name>", "the user name (default: the credentials that docker login stored)")
      .option("--password <password>", "the password, which other users of this machine can see in the process list")
      .option("--password-stdin", "read the password from standard input"),
  ).action(async (names: readonly string[], flags: PushFlags) => await push(names, flags, context));
}

const allFlag = [
  "--all",
  "also the images of samples and addons, which have the names of other projects' images",
] as const;

function layoutFlag(command: Command): Command {
  return command.option(
    "--layout <directory>",
    "the directory of the images (default: the output directory of npm run image)",
  );
}

function layoutOf({ layout }: LayoutFlags, { executable }: CliContext): ImageLayout {
  return new ImageLayout(resolve(layout ?? join(dirname(executable), "../.cache/image")));
}

async function list(flags: LayoutFlags, context: CliContext): Promise<void> {
  const images = await layoutOf(flags, context).images();
  const rows = images.flatMap(({ reference, variants }) =>
    variants.map((variant) => [reference, variant.architecture, sizeText(blobsOf([variant]))]),
  );
  context.out(renderTable(["IMAGE", "ARCHITECTURE", "SIZE"], rows));
  const variants = images.flatMap((image) => image.variants);
  for (const architecture of new Set(variants.map((variant) => variant.architecture))) {
    const blobs = blobsOf(variants.filter((variant) => variant.architecture === architecture));
    context.out(`all images for ${architecture}: ${sizeText(blobs)}, because they share layers\n`);
  }
}

const nameThem = "name them (serin image list)";

/** Chooses the images. If some are left out, prints `remedy`, which says how to include them. */
async function chosen(
  layout: ImageLayout,
  choice: Choice,
  remedy: string,
  { err }: CliContext,
): Promise<readonly LayoutImage[]> {
  const all = await layout.images();
  const images = chooseImages(all, choice);
  const left = all.length - images.length;
  if (choice.names.length === 0 && left > 0)
    err(
      `! left out ${left} images of samples and addons, because they have the names of other projects' images; to include them, ${remedy}\n`,
    );
  return images;
}

async function save(names: readonly string[], flags: SaveFlags, context: CliContext): Promise<void> {
  const layout = layoutOf(flags, context);
  const images = await chosen(layout, { names, all: flags.all === true }, `pass --all, or ${nameThem}`, context);
  const content =
    flags.format === "docker"
      ? dockerArchive(images, flags.arch ?? machineArchitecture)
      : ociArchive(images, flags.arch);
  const partial = `${flags.output}.partial`;
  try {
    await pipeline(archiveBytes(layout, content), createWriteStream(partial), { signal: context.signal });
    await rename(partial, flags.output);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
  context.out(`✔ ${flags.output}: ${countText(images)}, ${sizeText(content.blobs)}\n`);
  const next = flags.format === "docker" ? "docker load --input" : "kind load image-archive";
  context.out(`Next: ${next} ${flags.output}\n`);
}

async function load(names: readonly string[], flags: LoadFlags, context: CliContext): Promise<void> {
  const layout = layoutOf(flags, context);
  const images = await chosen(layout, { names, all: flags.all === true }, `pass --all, or ${nameThem}`, context);
  await importImages({
    bytes: Readable.from(archiveBytes(layout, ociArchive(images, flags.arch)), { objectMode: false }),
    command: flags.ctr,
    address: flags.address,
    signal: context.signal,
  });
  for (const { reference } of images) context.out(`✔ ${reference}\n`);
}

async function push(names: readonly string[], flags: PushFlags, context: CliContext): Promise<void> {
  const layout = layoutOf(flags, context);
  // With a hub of the user's own, push all images: they get names under this hub, which cannot be mistaken for other
  // projects' images.
  const images = await chosen(layout, { names, all: flags.hub !== undefined }, nameThem, context);
  const destinations = images.map((image) => ({ image, to: destinationOf(nameUnder(flags.hub, image.reference)) }));
  refuseSameNames(destinations);
  const authorities = flags.caFile === undefined ? undefined : await authoritiesOf(flags.caFile, context);
  const pushers = new Map<string, ImagePusher>();
  for (const { registry } of destinations.map(({ to }) => to)) {
    if (pushers.has(registry)) continue;
    const client = new RegistryClient({
      registry,
      plainHttp: flags.plainHttp === true,
      ...(authorities === undefined ? {} : { authorities }),
      credentials: await credentialsOf(registry, flags, context),
      userAgent: `serin/${context.version}`,
      signal: context.signal,
    });
    pushers.set(registry, new ImagePusher(layout, client));
  }
  for (const { image, to } of destinations) {
    const result = await pushers.get(to.registry)?.push(image, to);
    if (result === undefined) continue;
    const { sent, sentBytes, reused } = result;
    const name = `${to.registry}/${to.repository}:${to.tag}`;
    context.out(
      `✔ ${name}: ${sent === 0 ? "the registry already had its content" : `${bytesText(sentBytes)} sent, ${reused} of ${sent + reused} blobs were already there`}\n`,
    );
  }
  if (flags.hub !== undefined) context.out(`Next: serin install --set hub=${flags.hub}\n`);
}

/** Reads the CA certificates in a file. Throws if there are none: Node.js would ignore such a file without an error. */
async function authoritiesOf(file: string, context: CliContext): Promise<string> {
  const text = await context.readFile(file);
  if (!holdsCertificate(text))
    throw userError("file-invalid", `--ca-file ${file} contains no certificate in PEM`, {
      hint: "expected PEM, with a line BEGIN CERTIFICATE; openssl x509 -inform der -in FILE converts a DER file",
    });
  return text;
}

function holdsCertificate(text: string): boolean {
  try {
    return new X509Certificate(text).raw.length > 0;
  } catch {
    return false;
  }
}

function nameUnder(hub: string | undefined, reference: string): string {
  return hub === undefined ? reference : `${withoutEnd(hub, "/")}/${reference.slice(reference.lastIndexOf("/") + 1)}`;
}

/** Throws if images of different hubs would get the same name under the one hub. */
function refuseSameNames(destinations: readonly { readonly image: LayoutImage; readonly to: Destination }[]): void {
  const taken = new Map<string, string>();
  for (const { image, to } of destinations) {
    const name = `${to.registry}/${to.repository}:${to.tag}`;
    const other = taken.get(name);
    if (other !== undefined)
      throw userError("image-names-clash", `${other} and ${image.reference} would both have the name ${name}`, {
        hint: `pass the full names of the images to push instead of a short name such as ${shortName(image.reference)}`,
      });
    taken.set(name, image.reference);
  }
}

function countText(images: readonly LayoutImage[]): string {
  return images.length === 1 ? "1 image" : `${images.length} images`;
}

function sizeText(blobs: readonly { readonly size: number }[]): string {
  return bytesText(blobs.reduce((sum, { size }) => sum + size, 0));
}

function bytesText(bytes: number): string {
  return bytes < mebibyte ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / mebibyte).toFixed(1)} MiB`;
}
