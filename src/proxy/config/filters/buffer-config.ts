import {
  BufferPerRouteSchema,
  HttpBufferSchema,
  type BufferPerRoute,
  type HttpBuffer,
} from "../../../wire/envoy/index.ts";
import { BufferSettings } from "../../filters/buffer-filter.ts";
import { checkFields, invalid, type ConfigNotes } from "../config-check.ts";

export function compileBuffer(message: HttpBuffer, where: string, notes: ConfigNotes): BufferSettings {
  checkFields(HttpBufferSchema, message, where, notes, { used: ["maxRequestBytes"] });
  const { maxRequestBytes = 0 } = message;
  if (maxRequestBytes === 0) throw invalid(where, "maxRequestBytes must be greater than 0");
  return new BufferSettings(maxRequestBytes);
}

export function compileBufferPerRoute(message: BufferPerRoute, where: string, notes: ConfigNotes): BufferSettings {
  checkFields(BufferPerRouteSchema, message, where, notes, { used: ["disabled", "buffer"] });
  const { override } = message;
  if (override.case === "buffer") return compileBuffer(override.value, `${where}: buffer`, notes);
  if (override.case !== "disabled") throw invalid(where, "disabled or buffer must be set");
  if (!override.value) throw invalid(where, "disabled must be true");
  return new BufferSettings(undefined);
}
