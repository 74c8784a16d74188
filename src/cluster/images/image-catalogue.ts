import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { userError } from "../../base/index.ts";
import { appletCommand, type AppletName } from "./applets.ts";
import { programDirectories, releaseInContainer } from "./container-paths.ts";
import { matchesImagePattern, parseImageReference } from "./image-reference.ts";
import type { ImageEntry } from "./image-entry.ts";
import { findRelease, type LabRelease } from "./releases.ts";

/** The numeric ids of a user and its group. 0 is root. */
export interface ImageUser {
  readonly user: number;
  readonly group: number;
}

/** The program of an image's container, with paths inside the container. */
export interface ResolvedImage {
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  /** The user that the image states for its program. */
  readonly runsAs: ImageUser;
  readonly release: LabRelease;
  /** Further names by which shells in the container find the image's program. */
  readonly aliases: Readonly<Record<string, readonly string[]>>;
  /** Programs that the image contains and machines often lack. */
  readonly applets: readonly AppletName[];
  /** The image's id in the form of a registry: `docker.io/library/busybox@sha256:…`. */
  readonly id: string;
}

const userFile = "images.yaml";

export interface ContainerWords {
  readonly image: string;
  readonly command: readonly string[] | undefined;
  readonly args: readonly string[] | undefined;
}

/** The lab's image store. It maps image names to programs. */
export class ImageCatalogue {
  readonly #stateDirectory: string;
  readonly #builtIn: readonly ImageEntry[];
  readonly #present = new Set<string>();

  /** `builtIn` contains the release's own entries. */
  constructor(stateDirectory: string, builtIn: readonly ImageEntry[]) {
    this.#stateDirectory = stateDirectory;
    this.#builtIn = builtIn;
  }

  /** Whether an image was resolved before. The lab then treats it as already pulled. */
  has(image: string): boolean {
    return this.#present.has(image);
  }

  /** Resolves an image. Throws a user error with the remedy if there is no program for it. */
  async resolve(words: ContainerWords): Promise<ResolvedImage> {
    const reference = parseImageReference(words.image);
    const own = await this.#userEntries();
    const entry = [...own, ...this.#builtIn].find((candidate) =>
      candidate.images.some((pattern) => matchesImagePattern(pattern, reference.repository)),
    );
    if (entry === undefined) {
      throw userError(
        "image-unknown",
        `the lab has no program for image "${words.image}"; add one to ${join(this.#stateDirectory, userFile)} (for the format, see manifests/images.yaml)`,
      );
    }
    const release = findRelease(this.#stateDirectory, entry.release === "tag" ? reference.tag : undefined);
    if (own.includes(entry) && usesEntrypoint(entry, words)) {
      const { checkProgramIsSeen } = await import("./seen-program.ts");
      const directories = { releaseRoot: release.root, ofMachine: programDirectories };
      checkProgramIsSeen(words.image, entry.entrypoint[0] ?? "", directories);
    }
    this.#present.add(words.image);
    return {
      id: `${reference.repository}@sha256:${createHash("sha256").update(`${reference.tag} ${release.version}`).digest("hex")}`,
      argv: programOf(entry, words),
      aliases: Object.fromEntries(
        entry.aliases
          .filter((name) => !name.includes("/") && name !== entry.entrypoint[0])
          .map((name) => [name, entry.entrypoint.map(inRelease)]),
      ),
      applets: entry.applets,
      environment: Object.fromEntries(
        Object.entries(entry.environment).map(([name, value]) => [name, value.replaceAll("{tag}", reference.tag)]),
      ),
      workingDirectory: entry.workingDirectory,
      runsAs: imageUser(entry.user),
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
    // Load the YAML parser on demand, because most nodes never need it.
    const { parseImageCatalogue } = await import("./parse-catalogue.ts");
    return parseImageCatalogue(text, path);
  }
}

/**
 * The command line to run. As in container runtimes, `command` replaces both the entrypoint and its arguments, and
 * `args` replaces only the arguments.
 */
function programOf(entry: ImageEntry, { command, args }: ContainerWords): string[] {
  if (command === undefined || command.length === 0) {
    const given = args === undefined || args.length === 0 ? entry.arguments : args;
    if (entry.entrypoint.length > 0) return [...entry.entrypoint.map(inRelease), ...given];
    const [first, ...rest] = given;
    return first === undefined ? [] : [appletCommand(first, entry.applets), ...rest];
  }
  const [first = "", ...rest] = command;
  const program = usesEntrypoint(entry, { command })
    ? entry.entrypoint.map(inRelease)
    : [appletCommand(first, entry.applets)];
  return [...program, ...rest, ...(args ?? [])];
}

function usesEntrypoint(entry: ImageEntry, { command }: Pick<ContainerWords, "command">): boolean {
  return command === undefined || command.length === 0 || entry.aliases.includes(command[0] ?? "");
}

/** Reads `user:group`. Without a group, the group is root's. */
function imageUser(text: string): ImageUser {
  const [user = 0, group = 0] = text.split(":").map(Number);
  return { user, group };
}

/**
 * Turns a relative path, which contains a slash, into an absolute path in the release's tree. Returns other words
 * unchanged.
 */
function inRelease(word: string): string {
  return word.includes("/") && !word.startsWith("/") ? `${releaseInContainer}/${word}` : word;
}
