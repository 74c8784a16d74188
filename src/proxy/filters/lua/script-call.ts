import { bodyFramingHeaders } from "../../../base/index.ts";
import { fieldName } from "../../../wire/http2/index.ts";
import type { ClusterRequest } from "../../terms/call-cluster.ts";
import { statusOf, type ScriptMessage } from "./lua-message.ts";
import { fieldsOfTable, textOf, type LuaTable, type LuaValue } from "./lua-value.ts";

const maxCallBytes = 1024 * 1024;
/** The longest time limit of a call. It also applies if the script sets none. */
const maxCallMs = 3_600_000;
/** The longest body that a script may set, send or reply with. */
const maxNewBodyBytes = 8 * 1024 * 1024;

export function callOf([cluster, headers, body, options]: readonly LuaValue[], message: ScriptMessage): ClusterRequest {
  const fields = fieldsOfTable(headers as LuaTable);
  const valueOf = (name: string): string | undefined => fields.find(([other]) => other === name)?.[1];
  const [method, path, authority] = [valueOf(":method"), valueOf(":path"), valueOf(":authority") ?? valueOf("host")];
  if (method === undefined || path === undefined || authority === undefined)
    throw new Error("http call headers must include ':path', ':method', and ':authority'");
  const given = options as LuaTable;
  const timeoutMs = Number(given.get("timeout_ms") ?? 0);
  if (!(timeoutMs >= 0)) throw new Error("http call timeout must be >= 0");
  const sent = fields.filter(([name]) => !name.startsWith(":") && name !== "host" && name !== "content-length");
  for (const [name, value] of fields) checkField(name, value);
  if (/[\s\0]/.test(path) || /[^!-~]/.test(method)) throw new Error("http call path and method must have no spaces");
  const from = message.request.connection.local.address;
  return {
    cluster: textOf(cluster),
    protocol: "http1",
    method,
    path,
    authority,
    headers: given.get("send_xff") === false ? sent : [...sent, ["x-forwarded-for", from]],
    body: bodyOf(body),
    timeoutMs: timeoutMs === 0 ? maxCallMs : Math.min(maxCallMs, Math.max(1, timeoutMs)),
    maxAnswerBytes: maxCallBytes,
  };
}

export function replyFields(headers: LuaValue): { status: number; fields: [string, string][] } {
  const all = fieldsOfTable(headers as LuaTable);
  const status = statusOf(all.find(([name]) => name === ":status")?.[1]);
  if (status === undefined) throw new Error(":status must be between 200-599");
  const fields = all.filter(([name]) => !name.startsWith(":") && !bodyFramingHeaders.has(name));
  for (const [name, value] of fields) checkField(name, value);
  return { status, fields };
}

export function checkField(name: string, value: string): void {
  if (!fieldName.test(name.startsWith(":") ? name.slice(1) : name))
    throw new Error(`${shown(name)} is not a header name`);
  if (/[\r\n\0]/.test(value)) throw new Error(`the value of the header ${name} must not have a line break`);
}

export function bodyOf(value: LuaValue): Buffer {
  const text = typeof value === "string" ? value : "";
  if (text.length > maxNewBodyBytes) throw new Error(`a body may have at most ${maxNewBodyBytes} bytes`);
  return Buffer.from(text, "latin1");
}

/** A text for people: the script's bytes as UTF-8. */
export function shown(value: LuaValue): string {
  return Buffer.from(textOf(value), "latin1").toString();
}
