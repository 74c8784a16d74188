// Finds the files that a source file needs at run time, from the file's text. These are static and dynamic imports,
// except imports of types, and paths in strings. A path may be relative to the file or to the root. A string with a
// placeholder or a wildcard means its whole folder.
import { dirname, join, normalize } from "node:path";
import { importsOf, targetOf } from "../rules/imports/imports-of.ts";

/** Every file of the tree. The sources come with their texts. */
export interface SourceTree {
  /** All files, relative to the root. Includes files that were deleted since the base. */
  readonly files: ReadonlySet<string>;
  readonly textOf: (file: string) => string | undefined;
}

/** The direct needs of one file. */
interface Needs {
  /** Sources that the file loads. Their needs are also its needs. */
  readonly loaded: ReadonlySet<string>;
  /** Files that the file only reads, and doors of parts. Their needs are not the file's needs. */
  readonly read: ReadonlySet<string>;
  /** Folders whose files it may read, at any depth. */
  readonly folders: ReadonlySet<string>;
}

/** All needs of a file, direct and indirect. */
export interface AllNeeds {
  readonly files: ReadonlySet<string>;
  readonly folders: ReadonlySet<string>;
}

interface Door {
  /** Each name that the door exports, with the declaring file and the name there. */
  readonly named: ReadonlyMap<string, { readonly file: string; readonly name: string }>;
  readonly types: ReadonlySet<string>;
  readonly stars: readonly string[];
}

export const program = "bin/serin";
const programEntry = "src/cmd/main.ts";
/** The program builds the paths of these folders at run time. */
const programFolders = ["generated", "manifests"] as const;

const isSource = (file: string): boolean => /\.(ts|tsx|js|mjs|cjs)$/.test(file) && !file.endsWith(".d.ts");

/** Comments are removed by a pattern of their own, so that a quote in a comment does not hide what follows. */
const comment = /^\s*\/\/.*$|^\s*\/\*[\s\S]*?\*\//gm;
const importOrExport = /^(?:import|export)\b[\w$*{}\s,]*"[^"\n]+"|\bimport\(\s*"[^"\n]+"/gm;
const literals = [/"([^"\n\\]{1,200})"/g, /`([^`]{1,2000})`/g] as const;
const doorStatement = /^export\s+(type\s+)?(?:\*(?:\s+as\s+\w+)?|\{([^}]*)\})\s*from\s*"([^"\n]+)"\s*;?\s*$/;
const declared = /(?:^|\n)export\s+(?:async\s+)?(?:abstract\s+)?(?:function\*?|const|let|class|enum)\s+([\w$]+)/g;

/** Finds the files that a file needs. Reads each file once. */
export class ImportGraph {
  readonly #tree: SourceTree;
  readonly #folders = new Set<string>();
  /** Folders that contain a source directly. */
  readonly #sourceFolders = new Set<string>();
  readonly #needs = new Map<string, Needs>();
  readonly #doors = new Map<string, Door | undefined>();

  constructor(tree: SourceTree) {
    this.#tree = tree;
    for (const file of tree.files) {
      if (isSource(file)) this.#sourceFolders.add(dirname(file));
      for (let folder = dirname(file); folder !== "." && !this.#folders.has(folder); folder = dirname(folder))
        this.#folders.add(folder);
    }
  }

  /**
   * Returns all files and folders that a file needs. If `withProgram` is false, a test that starts the program needs
   * only its own sources and data.
   */
  allNeedsOf(start: string, withProgram = true): AllNeeds {
    const files = new Set([start]);
    const queue = [start];
    const folders = new Set<string>();
    const loaded = new Set(queue);
    for (const file of queue) {
      if (file === program && !withProgram) continue;
      const needs = this.#needsOf(file);
      for (const next of needs.loaded) {
        files.add(next);
        if (loaded.has(next)) continue;
        loaded.add(next);
        queue.push(next);
      }
      for (const next of needs.read) files.add(next);
      for (const folder of needs.folders) folders.add(folder);
    }
    return { files, folders };
  }

  /** Returns the sources that import one of the files directly, except imports of types. */
  importersOf(files: ReadonlySet<string>): string[] {
    return [...this.#tree.files].filter(
      (file) => isSource(file) && [...this.#needsOf(file).loaded].some((needed) => files.has(needed)),
    );
  }

  #needsOf(file: string): Needs {
    let needs = this.#needs.get(file);
    if (needs === undefined) this.#needs.set(file, (needs = this.#readNeeds(file)));
    return needs;
  }

  #readNeeds(file: string): Needs {
    const loaded = new Set<string>();
    const read = new Set<string>();
    const folders = new Set<string>();
    if (file === program) return { loaded: new Set([programEntry]), read, folders: new Set(programFolders) };
    const text = isSource(file) ? this.#tree.textOf(file) : undefined;
    if (text === undefined) return { loaded, read, folders };
    for (const { to, names, isOfTypes } of importsOf(file, text)) {
      const target = isOfTypes ? undefined : this.#sourceAt(to);
      if (target === undefined) continue;
      const behind = names === undefined ? undefined : this.#behindDoor(target, names);
      if (behind === undefined) loaded.add(target);
      else {
        read.add(target);
        for (const one of behind) loaded.add(one);
      }
    }
    for (const path of this.#pathsIn(file, text)) {
      if (this.#folders.has(path)) folders.add(path);
      else if (loaded.has(path) || read.has(path)) continue;
      else if (isSource(path) || path === program) loaded.add(path);
      else read.add(path);
    }
    return { loaded, read, folders };
  }

  /** Returns the file that an import leads to. Returns undefined for packages, and for files that do not exist. */
  #sourceAt(to: string): string | undefined {
    if (to.startsWith("#generated/")) return `generated/${to.slice("#generated/".length)}`;
    return this.#tree.files.has(to) ? to : undefined;
  }

  /**
   * Returns the files that declare the names, if the file only re-exports. Returns undefined if the whole file must be
   * loaded.
   */
  #behindDoor(file: string, names: readonly string[]): ReadonlySet<string> | undefined {
    if (this.#doorAt(file) === undefined) return undefined;
    const behind = new Set<string>();
    for (const name of names) {
      const origin = this.#originOf(file, name, new Set());
      if (origin === undefined) return undefined;
      if (origin !== "type") behind.add(origin);
    }
    return behind;
  }

  #originOf(file: string, name: string, seen: Set<string>): string | undefined {
    const door = this.#doorAt(file);
    if (door === undefined) return exportsOf(this.#tree.textOf(file) ?? "").has(name) ? file : undefined;
    if (seen.has(file)) return undefined;
    seen.add(file);
    if (door.types.has(name)) return "type";
    const named = door.named.get(name);
    if (named !== undefined)
      return this.#doorAt(named.file) === undefined ? named.file : this.#originOf(named.file, named.name, seen);
    for (const star of door.stars) {
      const origin = this.#originOf(star, name, seen);
      if (origin !== undefined) return origin;
    }
    return undefined;
  }

  #doorAt(file: string): Door | undefined {
    if (!this.#doors.has(file)) this.#doors.set(file, this.#readDoor(file));
    return this.#doors.get(file);
  }

  #readDoor(file: string): Door | undefined {
    if (!isSource(file)) return undefined;
    const code = (this.#tree.textOf(file) ?? "").replaceAll(comment, "");
    const named = new Map<string, { file: string; name: string }>();
    const types = new Set<string>();
    const stars: string[] = [];
    const statements = code.split(";").filter((statement) => statement.trim() !== "");
    if (statements.length === 0) return undefined;
    for (const statement of statements) {
      const match = doorStatement.exec(statement.trim());
      if (match === null) return undefined;
      const [whole, isType, list, specifier = ""] = match;
      const target = this.#sourceAt(targetOf(file, specifier));
      if (target === undefined || / as \w+ from/.test(whole.replace(/\{[^}]*\}/, ""))) return undefined;
      if (list === undefined) {
        if (isType === undefined) stars.push(target);
        continue;
      }
      for (const entry of list.split(",").map((one) => one.trim())) {
        if (entry === "") continue;
        const [name = "", given = name] = entry.replace(/^type\s+/, "").split(/\s+as\s+/);
        if (isType !== undefined || entry.startsWith("type ")) types.add(given);
        else named.set(given, { file: target, name });
      }
    }
    return { named, types, stars };
  }

  /** Yields the files and folders that a source names in its strings. */
  *#pathsIn(file: string, text: string): Generator<string> {
    const inProduct = file.startsWith("src/") && !/\.test\.tsx?$|\/testing\//.test(file);
    const code = text.replaceAll(comment, "").replaceAll(importOrExport, "");
    const strings = literals.flatMap((pattern) => [...code.matchAll(pattern)].map(([, whole = ""]) => whole));
    for (const named of strings.flatMap((string) => [...pathsNamedBy(string)])) {
      // In a test, a single word may be a folder beside the test, as in join(import.meta.dirname, "testing", name). In
      // the product, it is only a word.
      if (inProduct && !/[/.]/.test(named.path)) continue;
      for (const base of [dirname(file), "."]) {
        for (const path of this.#existing(base, named)) {
          // Only tests and scripts start the program. The sources in src/ only mention its path.
          if (!inProduct || (path !== program && path !== programEntry)) yield path;
        }
      }
    }
  }

  #existing(base: string, { path, ending, pattern }: NamedPath): string[] {
    const found = normalize(join(base, path)).replace(/\/$/, "");
    if (found.startsWith("..") || found === ".") return [];
    if (ending !== undefined)
      return [...this.#tree.files].filter((file) => dirname(file) === found && file.endsWith(ending));
    if (this.#tree.files.has(found)) return [found];
    // A pattern may begin at the root: "test/**/*.yaml".
    if (pattern !== undefined)
      return [...this.#tree.files].filter((file) => file.startsWith(`${found}/`) && file.endsWith(pattern));
    // A top folder is only where a search begins, and not something that the file reads. A single word means a folder
    // only if no source is directly in this folder.
    if (!this.#folders.has(found) || /^(src|scripts|test|bench|bin)$/.test(found)) return [];
    return path.includes("/") || !this.#sourceFolders.has(found) ? [found] : [];
  }
}

interface NamedPath {
  readonly path: string;
  /** Set if only the file's name is unknown. The path is then its folder, and this is the end of the name. */
  readonly ending?: string;
  /** Set for a wildcard. The path is then its folder, and this is the end of the names of files at any depth. */
  readonly pattern?: string;
}

function* pathsNamedBy(text: string): Generator<NamedPath> {
  // Checks each word, because a command line may name several paths. A path after a placeholder and a slash starts at
  // the root.
  for (const word of text.replaceAll(/\$\{[^}]*\}\//g, " ").split(/[\s"'=,:;()]+/)) {
    const path = word.replace(/^#generated\//, "generated/");
    const [fixed = ""] = path.split(/\$\{|\*|\{/);
    if (!/^[\w.@][\w./@-]*$/.test(fixed)) continue;
    if (fixed === path) {
      if (path === text || path.includes("/")) yield { path };
      continue;
    }
    const folder = fixed.slice(0, fixed.lastIndexOf("/") + 1);
    const pattern = /\*(\.(?!ts$|tsx$)[\w.]+)$/.exec(path)?.[1];
    if (folder !== "" && pattern !== undefined) yield { path: folder, pattern };
    const ending = /^[^/]*\$\{[^}]*\}(\.[\w.]+)$/.exec(path.slice(folder.length))?.[1];
    if (folder !== "" && pattern === undefined)
      yield ending === undefined ? { path: folder } : { path: folder, ending };
  }
}

function exportsOf(text: string): Set<string> {
  const names = new Set([...text.matchAll(declared)].map(([, name = ""]) => name));
  for (const [, list = ""] of text.matchAll(/(?:^|\n)export\s*\{([^}]*)\}/g)) {
    for (const entry of list.split(","))
      names.add(
        (
          entry
            .trim()
            .split(/\s+as\s+/)
            .at(-1) ?? ""
        ).trim(),
      );
  }
  return names;
}
