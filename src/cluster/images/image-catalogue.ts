import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { messageOf, userError } from "../../base/index.ts";
import { matchesImagePattern, parseImageReference } from "./image-reference.ts";
import { findRelease, type LabRelease } from "./releases.ts";

/** An entry of `manifests/images.yaml`, checked; the file says what each field means. */
export interface ImageEntry {
  readonly images: readonly string[];
  readonly release: "tag" | "cluster";
  readonly entrypoint: readonly string[];
  readonly arguments: readonly string[];
  readonly aliases: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
}

/** What a container of an image runs; paths are the container's. */
export interface ResolvedImage {
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  readonly release: LabRelease;
}

/** Where the release tree is in every container. */
export const releaseInContainer = "/opt/serin";
const userFile = "images.yaml";
const knownFields = new Set(["images", "release", "entrypoint", "arguments", "aliases", "environment", "workingDirectory"]);

/** Reads a catalogue file; throws a user error that names the entry and the field. */
export function parseImageCatalogue(text: string, source: string): ImageEntry[] {
  let document: unknown;
  try {
    document = parse(text);
  } catch (error) {
    throw userError("image-catalogue-invalid", `${source} is not YAML: ${messageOf(error)}`);
  }
  const list = (document as { images?: unknown } | null)?.images;
  if (!Array.isArray(list)) throw userError("image-catalogue-invalid", `${source}: "images" must be a list`);
  return list.map((raw, index) => parseEntry(raw, `${source}: images[${index}]`));
}

function parseEntry(raw: unknown, place: string): ImageEntry {
  if (typeof raw !== "object" || raw === null || Array.isArray(raw)) throw userError("image-catalogue-invalid", `${place} must be a map`);
  const fields = raw as Record<string, unknown>;
  for (const name of Object.keys(fields)) {
    if (!knownFields.has(name)) throw userError("image-catalogue-invalid", `${place}.${name}: unknown field; known are ${[...knownFields].join(", ")}`);
  }
  const strings = (name: string): string[] => {
    const value = fields[name] ?? [];
    if (!Array.isArray(value) || value.some((item) => typeof item !== "string")) throw userError("image-catalogue-invalid", `${place}.${name} must be a list of strings`);
    return value as string[];
  };
  const environment = fields["environment"] ?? {};
  if (typeof environment !== "object" || environment === null || Object.values(environment).some((value) => typeof value !== "string")) {
    throw userError("image-catalogue-invalid", `${place}.environment must be a map of strings`);
  }
  const release = fields["release"] ?? "cluster";
  if (release !== "tag" && release !== "cluster") throw userError("image-catalogue-invalid", `${place}.release must be "tag" or absent`);
  const workingDirectory = fields["workingDirectory"] ?? "/";
  if (typeof workingDirectory !== "string") throw userError("image-catalogue-invalid", `${place}.workingDirectory must be a string`);
  const images = strings("images");
  if (images.length === 0) throw userError("image-catalogue-invalid", `${place}.images must name one pattern at least`);
  return {
    images,
    release,
    entrypoint: strings("entrypoint"),
    arguments: strings("arguments"),
    aliases: strings("aliases"),
    environment: environment as Record<string, string>,
    workingDirectory,
  };
}

export interface ContainerWords {
  readonly image: string;
  readonly command: readonly string[] | undefined;
  readonly args: readonly string[] | undefined;
}

/** The lab's image store: names to programs. */
export class ImageCatalogue {
  readonly #stateDirectory: string;
  readonly #builtIn: readonly ImageEntry[];

  /** `builtIn` are the release's own entries. */
  constructor(stateDirectory: string, builtIn: readonly ImageEntry[]) {
    this.#stateDirectory = stateDirectory;
    this.#builtIn = builtIn;
  }

  /** Throws a user error, with the remedy in its message, when there is no program for the image. */
  resolve(words: ContainerWords): ResolvedImage {
    const reference = parseImageReference(words.image);
    const entry = [...this.#userEntries(), ...this.#builtIn].find((candidate) => candidate.images.some((pattern) => matchesImagePattern(pattern, reference.repository)));
    if (entry === undefined) {
      throw userError("image-unknown", `the lab has no program for image "${words.image}"; add one to ${join(this.#stateDirectory, userFile)} (its form: manifests/images.yaml)`);
    }
    const release = findRelease(this.#stateDirectory, entry.release === "tag" ? reference.tag : undefined);
    if (release === undefined) {
      throw userError("release-unknown", `image "${words.image}" names the release ${reference.tag}, which the lab does not have; add its tree: serin release add DIR`);
    }
    return {
      argv: programOf(entry, words),
      environment: entry.environment,
      workingDirectory: entry.workingDirectory,
      release,
    };
  }

  #userEntries(): ImageEntry[] {
    const path = join(this.#stateDirectory, userFile);
    let text: string;
    try {
      text = readFileSync(path, "utf8");
    } catch {
      return [];
    }
    return parseImageCatalogue(text, path);
  }
}

/** As container runtimes do: `command` replaces the entrypoint and its arguments, `args` the arguments. */
function programOf(entry: ImageEntry, { command, args }: ContainerWords): string[] {
  if (command === undefined || command.length === 0) {
    return [...entry.entrypoint.map(inRelease), ...(args === undefined || args.length === 0 ? entry.arguments : args)];
  }
  const [first = "", ...rest] = command;
  const program = entry.aliases.includes(first) ? entry.entrypoint.map(inRelease) : [first];
  return [...program, ...rest, ...(args ?? [])];
}

/** Words that are paths in the release's tree: they have a slash and do not begin with one. */
function inRelease(word: string): string {
  return word.includes("/") && !word.startsWith("/") ? `${releaseInContainer}/${word}` : word;
}
