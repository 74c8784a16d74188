import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { SerinError } from "../base/index.ts";
import { makeUserDirectory, readUserFile } from "./user-file.ts";

const directory = mkdtempSync(join(tmpdir(), "serin-user-file-"));
after(() => rmSync(directory, { recursive: true }));

test("a file that cannot be read is the user's error, and the message names the file and the reason", async () => {
  const refused = async (path: string, message: string): Promise<void> => {
    await assert.rejects(readUserFile(path), (error: unknown) => {
      assert.ok(error instanceof SerinError);
      assert.deepEqual([error.kind, error.code, error.message], ["user", "file-unreadable", message]);
      return true;
    });
  };
  const gone = join(directory, "upgrade.yaml");
  const file = join(directory, "file");
  await refused(gone, `cannot read ${gone}: there is no such file or directory`);
  await refused(directory, `cannot read ${directory}: it is a directory, and a file is expected`);
  writeFileSync(file, "kind: MeshUpgrade\n");
  await refused(`${file}/more`, `cannot read ${file}/more: a part of its path is not a directory`);
  assert.equal(await readUserFile(file), "kind: MeshUpgrade\n");
});

test("a file in UTF-16, as shells of Windows write it, is read as text", async () => {
  const manifest = "kind: Pod # grün\r\n";
  const file = join(directory, "utf16");
  const bytes = Buffer.from(`\uFEFF${manifest}`, "utf16le");
  for (const stored of [bytes, Buffer.from(bytes).swap16(), Buffer.from(manifest)]) {
    writeFileSync(file, stored);
    assert.equal(await readUserFile(file), manifest);
  }
});

test("a directory is made with its parents, and a path that cannot be created is refused, without endless attempts", () => {
  const deep = join(directory, "a/b/c");
  makeUserDirectory(deep, "");
  makeUserDirectory(deep, "");
  assert.ok(existsSync(deep));
  const refused = (path: string, message: string): void =>
    assert.throws(() => makeUserDirectory(path, "name another directory"), { code: "path-not-writable", message });
  refused("/proc/x/y", "/proc/x/y cannot be created: there is no such file or directory");
  refused("/dev/null/x", "/dev/null/x cannot be created: a part of its path is not a directory");
  refused("/dev/null", "/dev/null cannot be created: it is a file, and a directory is expected");
});
