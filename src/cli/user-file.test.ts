import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { SerinError } from "../base/index.ts";
import { readUserFile } from "./user-file.ts";

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
