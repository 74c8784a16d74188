import { SerinError } from "../../../src/base/index.ts";
import {
  addAddressMessage,
  addVethMessage,
  listLinksMessage,
  readAddress,
  readAttributes,
  readLink,
  readString,
  setLinkMessage,
  splitReplies,
} from "../../../src/wire/netlink/index.ts";
import { expect, expectRefusal, type FuzzTarget } from "../target.ts";

/** A truncated message must throw a RangeError. An address of an unknown length must throw our own error. */
function tolerant<Value>(read: (payload: Buffer) => Value, payload: Buffer): Value | undefined {
  try {
    return read(payload);
  } catch (error) {
    expectRefusal(error, RangeError, SerinError);
    return undefined;
  }
}

export const target: FuzzTarget = {
  title: "answers of netlink",
  seeds: [
    setLinkMessage(3, { name: "eth0", up: true, macAddress: Buffer.from("020000000001", "hex") }),
    Buffer.concat([
      addAddressMessage(3, { address: "10.0.0.1", prefixLength: 24 }),
      addAddressMessage(3, { address: "fd00::1", prefixLength: 64 }),
    ]),
    addVethMessage({ name: "a", mtuBytes: 1500, peer: { name: "b" } }),
    listLinksMessage(),
  ],
  run: (input) => {
    let bytes = 0;
    for (const { payload } of splitReplies(input)) {
      bytes += payload.length + 16;
      const link = tolerant(readLink, payload);
      if (link !== undefined) expect(!link.name.includes("\0"), "a name ends at its zero byte");
      tolerant(readAddress, payload);
      for (const value of readAttributes(payload.subarray(Math.min(4, payload.length))).values()) {
        readString(value);
        readAttributes(value);
      }
    }
    expect(bytes <= input.length, "answers lie within their bytes");
  },
};
