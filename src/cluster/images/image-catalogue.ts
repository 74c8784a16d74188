import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { userError } from "../../base/index.ts";
import { matchesImagePattern, parseImageReference } from "./image-reference.ts";
import type { ImageEntry } from "./image-entry.ts";
import { findRelease, type LabRelease } from "./releases.ts";

/** What a container of an image runs; paths are the container's. */
export interface ResolvedImage {
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  readonly release: LabRelease;
  /** Programs of the image that are the entrypoint under another name, which shells in the container can find. */
  readonly aliases: Readonly<Record<string, readonly string[]>>;
  /** A registry's name for the image: `docker.io/library/busybox@sha256:…`. */
  readonly id: string;
}

/** Where the release tree is in every container. */
export const releaseInContainer = "/opt/serin";
const userFile = "images.yaml";

export interface ContainerWords {
  readonly image: string;
  readonly command: readonly string[] | undefined;
  readonly args: readonly string[] | undefined;
}

/** The lab's image store: names to programs. */
export class ImageCatalogue {
  readonly #stateDirectory: string;
  readonly #builtIn: readonly ImageEntry[];
  readonly #present = new Set<string>();

  /** `builtIn` are the release's own entries. */
  constructor(stateDirectory: string, builtIn: readonly ImageEntry[]) {
    this.#stateDirectory = stateDirectory;
    this.#builtIn = builtIn;
  }

  /** Whether an image has been resolved here before: its next container finds it present. */
  has(image: string): boolean {
    return this.#present.has(image);
  }

  /** Throws a user error, with the remedy in its message, when there is no program for the image. */
  async resolve(words: ContainerWords): Promise<ResolvedImage> {
    const reference = parseImageReference(words.image);
    const entry = [...(await this.#userEntries()), ...this.#builtIn].find((candidate) =>
      candidate.images.some((pattern) => matchesImagePattern(pattern, reference.repository)),
    );
    if (entry === undefined) {
      throw userError(
        "image-unknown",
        `the lab has no program for image "${words.image}"; add one to ${join(this.#stateDirectory, userFile)} (its form: manifests/images.yaml)`,
      );
    }
    const release = findRelease(this.#stateDirectory, entry.release === "tag" ? reference.tag : undefined);
    this.#present.add(words.image);
    return {
      id: `${reference.repository}@sha256:${createHash("sha256").update(`${reference.tag} ${release.version}`).digest("hex")}`,
      argv: programOf(entry, words),
      aliases: Object.fromEntries(
        entry.aliases
          .filter((name) => !name.includes("/") && name !== entry.entrypoint[0])
          .map((name) => [name, entry.entrypoint.map(inRelease)]),
      ),
      environment: Object.fromEntries(
        Object.entries(entry.environment).map(([name, value]) => [name, value.replaceAll("{tag}", reference.tag)]),
      ),
      workingDirectory: entry.workingDirectory,
      release,
    };
  }

  async #userEntries(): Promise<ImageEntry[]> {
    const path = join(this.#stateDirectory, userFile);
    let text: string;
    try {
      text = readFileSync(path, "utf8");
    } catch {
      return [];
    }
    // YAML's parser takes time and memory that most nodes never need.
    const { parseImageCatalogue } = await import("./parse-catalogue.ts");
    return parseImageCatalogue(text, path);
  }
}

/** As in container runtimes: `command` replaces the entrypoint and its arguments, `args` the arguments. */
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
