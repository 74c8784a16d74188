// Links between documents, and the files that documents name, exist. A finding names the document, the line and the
// target.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import test from "node:test";

const root = join(import.meta.dirname, "../..");
const documents = execFileSync("git", ["ls-files", "-co", "--exclude-standard", "--", "*.md"], {
  cwd: root,
  encoding: "utf8",
})
  .split("\n")
  .filter((file) => file !== "" && !file.startsWith("generated/") && existsSync(join(root, file)));

interface Place {
  readonly document: string;
  readonly line: number;
  readonly target: string;
}

function placesOf(pattern: RegExp): Place[] {
  return documents.flatMap((document) => {
    let fenced = false;
    return readFileSync(join(root, document), "utf8")
      .split("\n")
      .flatMap((text, index) => {
        if (/^\s*(>\s*)?```/.test(text)) fenced = !fenced;
        if (fenced) return [];
        return [...text.matchAll(pattern)].map(([, target = ""]) => ({ document, line: index + 1, target }));
      });
  });
}

/** Returns the anchors that GitHub gives a document's headings. */
function anchorsOf(document: string): Set<string> {
  const headings = readFileSync(join(root, document), "utf8").matchAll(/^#+ (.*)$/gm);
  const anchors = new Set<string>();
  for (const [, heading = ""] of headings) {
    const anchor = heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-");
    let unique = anchor;
    for (let copy = 1; anchors.has(unique); copy += 1) unique = `${anchor}-${copy}`;
    anchors.add(unique);
  }
  return anchors;
}

function assertNone(found: readonly string[]): void {
  assert.equal(found.length, 0, found.join("\n"));
}

test("every link to a file of the project leads to an existing file, and every anchor to a heading", () => {
  const found = placesOf(/\]\((?!https?:|mailto:)([^)\s]+)\)/g).flatMap(({ document, line, target }) => {
    const [path = "", anchor] = target.split("#");
    const file = path === "" ? document : normalize(join(dirname(document), path));
    if (!existsSync(join(root, file))) return [`${document}:${line}: ${target}: no such file`];
    if (anchor === undefined || !file.endsWith(".md") || anchorsOf(file).has(anchor)) return [];
    return [`${document}:${line}: ${target}: ${file} has no such heading`];
  });
  assertNone(found);
});

test("every source path in a document exists", () => {
  // The pattern skips a path with a placeholder, an asterisk or a list in braces, which does not name one file.
  const found = placesOf(/`((?:src|docs|scripts|test|bench|samples|manifests)\/[\w./-]+)`/g)
    .filter(({ target }) => !existsSync(join(root, target)))
    .map(({ document, line, target }) => `${document}:${line}: ${target}: no such file`);
  assertNone(found);
});

test("every source file that a document names without its whole path exists in a folder of that name", () => {
  const sources = execFileSync("git", ["ls-files", "-co", "--exclude-standard", "--", "*.ts", "*.tsx"], {
    cwd: root,
    encoding: "utf8",
  })
    .split("\n")
    .filter((file) => file !== "" && existsSync(join(root, file)))
    .map((file) => `/${file}`);
  const found = placesOf(/`([a-z][\w-]*(?:[/.][\w{},-]+)*\.tsx?)`/g)
    .flatMap((place) => withoutBraces(place.target).map((target) => ({ ...place, target })))
    .filter(({ target }) => !sources.some((file) => file.endsWith(`/${target}`)))
    .map(({ document, line, target }) => `${document}:${line}: ${target}: no such file`);
  assertNone(found);
});

/** Returns the names that a list in braces stands for. For example, `a/{b,c}.ts` stands for a/b.ts and a/c.ts. */
function withoutBraces(name: string): string[] {
  const [, before = "", list, after = ""] = /^(.*?)\{([^}]*)\}(.*)$/.exec(name) ?? [];
  return list === undefined ? [name] : list.split(",").flatMap((choice) => withoutBraces(`${before}${choice}${after}`));
}

function linkedFrom(page: string): ReadonlySet<string> {
  return new Set(
    placesOf(/\]\((?!https?:)([^)\s#]+)/g)
      .filter(({ document }) => document === page)
      .map(({ target }) => normalize(join(dirname(page), target))),
  );
}

test("the map of the documentation and those of its folders lead to every page", () => {
  const maps: Readonly<Record<string, RegExp>> = {
    "docs/README.md": /^(docs\/)?[\w-]+\.md$/,
    "docs/adr/README.md": /^docs\/adr\//,
    "docs/contracts/README.md": /^docs\/contracts\//,
  };
  for (const [map, pattern] of Object.entries(maps)) {
    const linked = linkedFrom(map);
    const pages = documents.filter((document) => pattern.test(document) && !/(^|\/)README\.md$/.test(document));
    assert.ok(pages.length > 5, `${map}: ${pages.length} pages`);
    assert.deepEqual(
      pages.filter((page) => !linked.has(page)),
      [],
      map,
    );
  }
});

const maxWords = 4000;
/** Pages that readers search for single headings, so these pages may be long. */
const lists = new Set(["CHANGELOG.md", "docs/cli.md", "docs/errors.md", "docs/features.md"]);

test(`a page has at most ${maxWords} words, so that it has one subject`, () => {
  const lengths = documents
    .filter((document) => !lists.has(document))
    .map((document) => ({ document, words: readFileSync(join(root, document), "utf8").split(/\s+/).length }));
  assertNone(
    lengths
      .filter(({ words }) => words > maxWords)
      .map(({ document, words }) => `${document}: ${words} words: move a subject to a page of its own`),
  );
});
