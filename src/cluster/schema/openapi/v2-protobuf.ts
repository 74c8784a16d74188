import type * as Wire from "@bufbuild/protobuf/wire";
import { ownField } from "../../../base/index.ts";
import { protobufWire } from "../protobuf-wire.ts";
import { isObject, objectOf, type JsonObject } from "../json.ts";

/**
 * Writes the value of a field as bytes. The writers in this file encode an OpenAPI v2 document as `openapi.v2.Document`
 * (gnostic's OpenAPIv2.proto), the form that kubectl requests.
 */
type FieldWriter = (writer: Wire.BinaryWriter, number: number, value: unknown) => void;
type MessageFields = Readonly<Record<string, readonly [number: number, write: FieldWriter]>>;

const types = (): typeof Wire.WireType => protobufWire().WireType;

const text: FieldWriter = (writer, number, value) => {
  writer.tag(number, types().LengthDelimited).string(String(value));
};
const flag: FieldWriter = (writer, number, value) => {
  if (value === true) writer.tag(number, types().Varint).bool(true);
};
const integer: FieldWriter = (writer, number, value) => {
  if (typeof value === "number") writer.tag(number, types().Varint).int64(Math.trunc(value));
};
const double: FieldWriter = (writer, number, value) => {
  if (typeof value === "number") writer.tag(number, types().Bit64).double(value);
};

function repeated(write: FieldWriter): FieldWriter {
  return (writer, number, value) => {
    if (Array.isArray(value)) for (const item of value) write(writer, number, item);
  };
}

function nested(writer: Wire.BinaryWriter, number: number, body: () => void): void {
  writer.tag(number, types().LengthDelimited).fork();
  body();
  writer.join();
}

/**
 * A writer of a message. `fields` is a function because messages refer to each other. `vendor` is the number of the
 * field for extensions.
 */
function message(fields: () => MessageFields, vendor?: number): FieldWriter {
  return (writer, number, value) => {
    if (isObject(value)) nested(writer, number, () => writeFields(writer, fields(), value, vendor));
  };
}

function writeFields(
  writer: Wire.BinaryWriter,
  fields: MessageFields,
  value: JsonObject,
  vendor: number | undefined,
): void {
  for (const [key, item] of Object.entries(value)) {
    const field = ownField(fields, key);
    if (field !== undefined) field[1](writer, field[0], item);
    else if (vendor !== undefined && key.startsWith("x-")) named(any)(writer, vendor, [key, item]);
  }
}

/** Writes a JSON value as YAML text in `Any { yaml = 2 }`. JSON is valid YAML. */
const any: FieldWriter = (writer, number, value) => {
  nested(writer, number, () => text(writer, 2, `${JSON.stringify(value)}\n`));
};

/** Writes an entry of an ordered map: `{ name = 1, value = 2 }`. */
function named(write: FieldWriter): FieldWriter {
  return (writer, number, value) => {
    const [name, item] = value as [string, unknown];
    nested(writer, number, () => {
      text(writer, 1, name);
      write(writer, 2, item);
    });
  };
}

/** Writes a map as a message. The field with the number `entries` repeats its named entries. */
function mapOf(entries: number, write: FieldWriter): FieldWriter {
  return (writer, number, value) => {
    nested(writer, number, () => {
      for (const entry of Object.entries(objectOf(value))) named(write)(writer, entries, entry);
    });
  };
}

function wrapped(inner: number, write: FieldWriter): FieldWriter {
  return (writer, number, value) => nested(writer, number, () => write(writer, inner, value));
}

const schema: FieldWriter = message(() => schemaFields, 31);
const schemaFields: MessageFields = {
  $ref: [1, text],
  format: [2, text],
  title: [3, text],
  description: [4, text],
  default: [5, any],
  multipleOf: [6, double],
  maximum: [7, double],
  exclusiveMaximum: [8, flag],
  minimum: [9, double],
  exclusiveMinimum: [10, flag],
  maxLength: [11, integer],
  minLength: [12, integer],
  pattern: [13, text],
  maxItems: [14, integer],
  minItems: [15, integer],
  uniqueItems: [16, flag],
  maxProperties: [17, integer],
  minProperties: [18, integer],
  required: [19, repeated(text)],
  enum: [20, repeated(any)],
  additionalProperties: [
    21,
    (writer, number, value) => {
      if (typeof value === "boolean") nested(writer, number, () => writer.tag(2, types().Varint).bool(value));
      else wrapped(1, schema)(writer, number, value);
    },
  ],
  type: [
    22,
    (writer, number, value) => wrapped(1, repeated(text))(writer, number, Array.isArray(value) ? value : [value]),
  ],
  items: [23, wrapped(1, schema)],
  allOf: [24, repeated(schema)],
  properties: [25, mapOf(1, schema)],
  discriminator: [26, text],
  readOnly: [27, flag],
  example: [30, any],
};

/**
 * The fields of a parameter. Query parameters have one field more than path parameters, which shifts the numbers of the
 * fields after it.
 */
function parameterFields(shift: number): MessageFields {
  return {
    required: [1, flag],
    in: [2, text],
    description: [3, text],
    name: [4, text],
    type: [5 + shift, text],
    format: [6 + shift, text],
    uniqueItems: [19 + shift, flag],
  };
}

const bodyParameter: MessageFields = {
  description: [1, text],
  name: [2, text],
  in: [3, text],
  required: [4, flag],
  schema: [5, schema],
};

const parameter: FieldWriter = (writer, number, value) => {
  const fields = objectOf(value);
  nested(writer, number, () => {
    if (fields.in === "body") message(() => bodyParameter)(writer, 1, value);
    else
      nested(writer, 2, () =>
        fields.in === "path"
          ? message(() => parameterFields(0))(writer, 4, value)
          : message(() => parameterFields(1))(writer, 3, value),
      );
  });
};

const parameterItem: FieldWriter = (writer, number, value) => {
  const reference = objectOf(value).$ref;
  nested(writer, number, () =>
    reference === undefined ? parameter(writer, 1, value) : nested(writer, 2, () => text(writer, 1, reference)),
  );
};

const response: FieldWriter = wrapped(
  1,
  message(() => ({ description: [1, text], schema: [2, wrapped(1, schema)] })),
);

const operation: FieldWriter = message(
  () => ({
    tags: [1, repeated(text)],
    summary: [2, text],
    description: [3, text],
    operationId: [5, text],
    produces: [6, repeated(text)],
    consumes: [7, repeated(text)],
    parameters: [8, repeated(parameterItem)],
    responses: [9, mapOf(1, response)],
    schemes: [10, repeated(text)],
    deprecated: [11, flag],
  }),
  13,
);

const pathItem: FieldWriter = message(
  () => ({
    get: [2, operation],
    put: [3, operation],
    post: [4, operation],
    delete: [5, operation],
    options: [6, operation],
    head: [7, operation],
    patch: [8, operation],
    parameters: [9, repeated(parameterItem)],
  }),
  10,
);

const documentFields: MessageFields = {
  swagger: [1, text],
  info: [2, message(() => ({ title: [1, text], version: [2, text], description: [3, text] }))],
  paths: [8, mapOf(2, pathItem)],
  definitions: [9, mapOf(1, schema)],
  parameters: [10, mapOf(1, parameter)],
};

/** Encodes the document. The concatenated bytes of two documents are a document with the parts of both. */
export function encodeOpenApiV2(document: JsonObject): Uint8Array {
  const writer = new (protobufWire().BinaryWriter)();
  writeFields(writer, documentFields, document, 16);
  return writer.finish();
}
