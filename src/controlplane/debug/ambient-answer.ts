import { fromBinary, toJson, type DescMessage, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { AddressSchema, AuthorizationSchema } from "../../wire/workload/index.ts";
import type { EncodedResource } from "../translate/index.ts";
import type { Budget } from "./bounded-answer.ts";
import type { InspectionSources } from "./inspection-sources.ts";

export function ambient(sources: InspectionSources, budget: Budget): unknown {
  const { addresses, authorizations } = sources.ambient();
  const found = { workloads: [] as JsonValue[], services: [] as JsonValue[], policies: [] as JsonValue[] };
  const read = (desc: DescMessage, { any }: EncodedResource): JsonObject => (
    budget.take(),
    readable(toJson(desc, fromBinary(desc, fromBinary(AnySchema, any).value))) as JsonObject
  );
  for (const collection of addresses) {
    for (const resource of collection.values()) {
      const { workload, service } = read(AddressSchema, resource);
      if (workload !== undefined) found.workloads.push(workload);
      if (service !== undefined) found.services.push(service);
    }
  }
  for (const collection of authorizations)
    for (const resource of collection.values()) found.policies.push(read(AuthorizationSchema, resource));
  return found;
}

const addressLengths: ReadonlySet<number> = new Set([4, 16]);

/**
 * Prints addresses as text instead of bytes. As in upstream, this text is in base64, because the field's type is bytes.
 */
function readable(value: JsonValue, field = ""): JsonValue {
  if (Array.isArray(value)) return value.map((inner) => readable(inner, field));
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, readable(inner, name)]));
  if (typeof value !== "string" || (field !== "address" && field !== "addresses")) return value;
  const bytes = Buffer.from(value, "base64");
  return addressLengths.has(bytes.length) ? Buffer.from(addressText(bytes)).toString("base64") : value;
}

function addressText(bytes: Buffer): string {
  // The host of a URL has an IPv6 address in its shortest form.
  return bytes.length === 4
    ? bytes.join(".")
    : new URL(`http://[${bytes.toString("hex").match(/.{4}/g)?.join(":") ?? ""}]`).hostname.slice(1, -1);
}
