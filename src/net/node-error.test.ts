import assert from "node:assert/strict";
import { test } from "node:test";
import { isSystemCode, networkError } from "./node-error.ts";

const errorOf = (code: string) => networkError("connect", Object.assign(new Error("no"), { code }));
const codeOf = (code: string): readonly unknown[] => [errorOf(code).code, errorOf(code).reason];

test("an error of the system or of OpenSSL has a code of the table, and the original code as its reason", () => {
  assert.deepEqual(codeOf("ECONNREFUSED"), ["connection-refused", "ECONNREFUSED"]);
  assert.deepEqual(codeOf("EPROTOTYPE"), ["network-failure", "EPROTOTYPE"]);
  assert.deepEqual(codeOf("UNABLE_TO_VERIFY_LEAF_SIGNATURE"), ["tls-failed", "UNABLE_TO_VERIFY_LEAF_SIGNATURE"]);
  assert.deepEqual(codeOf("ERR_SSL_WRONG_VERSION_NUMBER"), ["tls-failed", "ERR_SSL_WRONG_VERSION_NUMBER"]);
  assert.deepEqual(codeOf("ERR_STREAM_PREMATURE_CLOSE"), ["network-failure", "ERR_STREAM_PREMATURE_CLOSE"]);
  assert.deepEqual(codeOf("ABORT_ERR"), ["aborted", undefined]);
});

test("the message of an error of OpenSSL has its words alone, without a source file and a line break", () => {
  const openSsl = Object.assign(new Error("40ED08D7:error:0A00010B:SSL routines:x:no version:record.c:354:\n"), {
    code: "ERR_SSL_NO_VERSION",
    library: "SSL routines",
    reason: "no version",
  });
  assert.equal(networkError("connect", openSsl).message, "connect: no version");
});

test("callers compare an errno by its name", () => {
  assert.ok(isSystemCode(errorOf("EEXIST"), "ENOENT", "EEXIST"));
  assert.ok(!isSystemCode(errorOf("EEXIST"), "ENOENT"));
});
