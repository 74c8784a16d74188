import { createCipheriv, createDecipheriv } from "node:crypto";
import type Koffi from "koffi";
import { internalError, invariant, loadPackage } from "../base/index.ts";
import {
  contentType,
  maxContentBytes,
  maxRecordsOfKey,
  nonceBytes,
  putNonce,
  putRecordHeader,
  recordHeaderBytes,
  recordOverheadBytes,
  suiteOf,
  tagBytes,
  type Suite,
} from "../wire/tls13/index.ts";
import { KnownAddress } from "./known-address.ts";
import { addressOf } from "./libc.ts";
import { nextSecretOf, trafficKeyOf } from "./tls-keys.ts";

// AES-GCM by the OpenSSL inside Node, in memory that the caller chooses. Node's own functions make objects and copies
// for each record. Only this file calls OpenSSL and handles memory addresses, and it checks all ranges before each
// call.

/** All arguments and results are addresses or numbers. */
type Call = (...values: number[]) => number;

interface OpenSsl {
  readonly newContext: Call;
  readonly freeContext: Call;
  readonly control: Call;
  readonly clearErrors: Call;
  readonly encryptInit: Call;
  readonly encryptUpdate: Call;
  readonly encryptFinal: Call;
  readonly decryptInit: Call;
  readonly decryptUpdate: Call;
  readonly decryptFinal: Call;
  readonly ciphers: Readonly<Record<string, number>>;
}

/** EVP_CTRL_AEAD_GET_TAG and EVP_CTRL_AEAD_SET_TAG. */
const getTag = 16;
const setTag = 17;
const noPointer = 0;

function load(): OpenSsl {
  const koffi = loadPackage<typeof Koffi>("koffi");
  const program = koffi.load(null);
  const pointer = "uintptr_t";
  const call = (result: string, name: string, ...types: readonly string[]): Call =>
    program.func(`${result} ${name}(${types.join(", ")})`);
  const init = (name: string): Call => call("int", name, pointer, pointer, pointer, pointer, pointer);
  const update = (name: string): Call => call("int", name, pointer, pointer, pointer, pointer, "int");
  const final = (name: string): Call => call("int", name, pointer, pointer, pointer);
  return {
    newContext: call(pointer, "EVP_CIPHER_CTX_new"),
    freeContext: call("void", "EVP_CIPHER_CTX_free", pointer),
    control: call("int", "EVP_CIPHER_CTX_ctrl", pointer, "int", "int", pointer),
    clearErrors: call("void", "ERR_clear_error"),
    encryptInit: init("EVP_EncryptInit_ex"),
    encryptUpdate: update("EVP_EncryptUpdate"),
    encryptFinal: final("EVP_EncryptFinal_ex"),
    decryptInit: init("EVP_DecryptInit_ex"),
    decryptUpdate: update("EVP_DecryptUpdate"),
    decryptFinal: final("EVP_DecryptFinal_ex"),
    ciphers: {
      "aes-128-gcm": call(pointer, "EVP_aes_128_gcm")(),
      "aes-256-gcm": call(pointer, "EVP_aes_256_gcm")(),
    },
  };
}

const sealSource = new KnownAddress();
const sealTarget = new KnownAddress();
const openSource = new KnownAddress();
const openTarget = new KnownAddress();

/** Memory for a nonce, for a content's type, and for lengths that OpenSSL writes and nobody reads. */
const scratch = Buffer.allocUnsafeSlow(32);
const typeAt = nonceBytes;
const lengthAt = 16;

/** Frees the contexts of connections that were garbage-collected before {@link Direction.free}. */
const forgotten = new FinalizationRegistry<number>((context) => loaded?.openSsl.freeContext(context));

abstract class Direction {
  protected readonly openSsl: OpenSsl;
  protected readonly scratchAddress: number;
  protected context: number;
  readonly #suite: Suite;
  readonly #seals: boolean;
  #secret: Buffer;
  #iv: Buffer = Buffer.alloc(nonceBytes);
  /** The number of the next record under the key. */
  sequence = 0;

  constructor(suite: Suite, secret: Buffer, seals: boolean) {
    const library = loaded;
    invariant(library !== undefined, "the functions of OpenSSL are loaded first");
    this.openSsl = library.openSsl;
    this.scratchAddress = library.scratchAddress;
    this.#suite = suite;
    this.#seals = seals;
    this.#secret = Buffer.from(secret);
    this.context = this.openSsl.newContext();
    if (this.context === noPointer) throw internalError("unexpected", "OpenSSL has no memory for a cipher");
    forgotten.register(this, this.context, this);
    this.#useKey();
  }

  changeKey(): void {
    const before = this.#secret;
    this.#secret = nextSecretOf(this.#suite, before);
    before.fill(0);
    this.#useKey();
  }

  /** Erases the keys. The object must not be used afterwards. Calling it again has no effect. */
  free(): void {
    if (this.context === noPointer) return;
    forgotten.unregister(this);
    this.openSsl.freeContext(this.context);
    this.context = noPointer;
    this.#secret.fill(0);
    this.#iv.fill(0);
  }

  protected nextNonce(): void {
    putNonce(scratch, 0, this.#iv, this.sequence);
    this.sequence += 1;
  }

  #useKey(): void {
    const { key, iv } = trafficKeyOf(this.#suite, this.#secret);
    const init = this.#seals ? this.openSsl.encryptInit : this.openSsl.decryptInit;
    const cipher = this.openSsl.ciphers[this.#suite.cipher] ?? noPointer;
    const address = addressOf(key);
    requireDone(init(this.context, cipher, noPointer, address, noPointer));
    key.fill(0);
    this.#iv = iv;
    this.sequence = 0;
  }
}

function requireDone(result: number): void {
  if (result !== 1) throw internalError("unexpected", "OpenSSL refused a step of AES-GCM");
}

function requireRange(bytes: Uint8Array, from: number, to: number): void {
  invariant(from >= 0 && from <= to && to <= bytes.length, "a range lies within its memory");
}

export class Sealer extends Direction {
  readonly #recordsOfKey: number;

  constructor(suite: Suite, secret: Buffer, recordsOfKey = maxRecordsOfKey) {
    super(suite, secret, true);
    this.#recordsOfKey = recordsOfKey;
  }

  get recordsLeft(): number {
    return this.#recordsOfKey - this.sequence;
  }

  /**
   * Encrypts a content as one or more records to the beginning of `target`, which must have room for {@link
   * sealedBytes}. Returns the length of the records.
   */
  seal(source: Uint8Array, from: number, to: number, target: Uint8Array, type: number): number {
    requireRange(source, from, to);
    requireRange(target, 0, sealedBytes(to - from));
    invariant(this.context !== noPointer, "a cipher is not used after its end");
    const { openSsl, context, scratchAddress } = this;
    const sourceAddress = sealSource.of(source);
    const targetAddress = sealTarget.of(target);
    const typeAddress = scratchAddress + typeAt;
    const lengthAddress = scratchAddress + lengthAt;
    scratch[typeAt] = type;
    let out = 0;
    for (let at = from; at < to; at += maxContentBytes) {
      const size = Math.min(maxContentBytes, to - at);
      putRecordHeader(target, out, size + 1 + tagBytes);
      const body = targetAddress + out + recordHeaderBytes;
      this.nextNonce();
      requireDone(
        openSsl.encryptInit(context, noPointer, noPointer, noPointer, scratchAddress) &
          openSsl.encryptUpdate(context, noPointer, lengthAddress, targetAddress + out, recordHeaderBytes) &
          openSsl.encryptUpdate(context, body, lengthAddress, sourceAddress + at, size) &
          openSsl.encryptUpdate(context, body + size, lengthAddress, typeAddress, 1) &
          openSsl.encryptFinal(context, body + size + 1, lengthAddress) &
          openSsl.control(context, getTag, tagBytes, body + size + 1),
      );
      out += size + recordOverheadBytes;
    }
    return out;
  }
}

/** The length of the records for a content of this length. */
export function sealedBytes(contentBytes: number): number {
  return contentBytes + Math.ceil(contentBytes / maxContentBytes) * recordOverheadBytes;
}

export class Opener extends Direction {
  constructor(suite: Suite, secret: Buffer) {
    super(suite, secret, false);
  }

  /**
   * Decrypts the record at `at`, whose protected part has `length` bytes, into `target` from `out` on. Returns the
   * length of its content with type and padding. If the record is not authentic, returns -1, and the bytes in `target`
   * must not be used.
   */
  open(source: Uint8Array, at: number, length: number, target: Uint8Array, out: number): number {
    const size = length - tagBytes;
    requireRange(source, at, at + recordHeaderBytes + length);
    requireRange(target, out, out + size);
    invariant(this.context !== noPointer, "a cipher is not used after its end");
    const { openSsl, context, scratchAddress } = this;
    const header = openSource.of(source) + at;
    const body = header + recordHeaderBytes;
    const targetAddress = openTarget.of(target) + out;
    const lengthAddress = scratchAddress + lengthAt;
    this.nextNonce();
    requireDone(
      openSsl.decryptInit(context, noPointer, noPointer, noPointer, scratchAddress) &
        openSsl.decryptUpdate(context, noPointer, lengthAddress, header, recordHeaderBytes) &
        openSsl.decryptUpdate(context, targetAddress, lengthAddress, body, size) &
        openSsl.control(context, setTag, tagBytes, body + size),
    );
    if (openSsl.decryptFinal(context, targetAddress + size, lengthAddress) === 1) return size;
    // Clear OpenSSL's error, because Node's TLS would report it as its own.
    openSsl.clearErrors();
    return -1;
  }
}

let loaded: { readonly openSsl: OpenSsl; readonly scratchAddress: number } | undefined;
let isUsable: boolean | undefined;

/**
 * Whether this Node offers OpenSSL's functions, and their results agree with Node's own. The first call loads and tries
 * them, which takes a few milliseconds.
 */
export function hasRecordCiphers(): boolean {
  isUsable ??= loadAndTry();
  return isUsable;
}

function loadAndTry(): boolean {
  try {
    const openSsl = load();
    loaded = { openSsl, scratchAddress: addressOf(scratch) };
    return ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"].every(agreesWithNode);
  } catch {
    return false;
  }
}

/** Encrypts a record here and decrypts it with Node's functions, and the other way round. */
function agreesWithNode(name: string): boolean {
  const suite = suiteOf(name);
  if (suite === undefined || suite.cipher === "chacha20-poly1305") return false;
  const secret = Buffer.alloc(suite.keyBytes, 7);
  const content = Buffer.from("known text");
  const record = Buffer.alloc(sealedBytes(content.length));
  const sealer = new Sealer(suite, secret);
  const opener = new Opener(suite, secret);
  try {
    const length = sealer.seal(content, 0, content.length, record, contentType.applicationData);
    const { key, iv } = trafficKeyOf(suite, secret);
    const options = { authTagLength: tagBytes };
    const header = record.subarray(0, recordHeaderBytes);
    const decipher = createDecipheriv(suite.cipher, key, iv, options).setAAD(header);
    decipher.setAuthTag(record.subarray(length - tagBytes, length));
    const inner = Buffer.concat([
      decipher.update(record.subarray(recordHeaderBytes, length - tagBytes)),
      decipher.final(),
    ]);
    const cipher = createCipheriv(suite.cipher, key, iv, options).setAAD(header);
    const other = Buffer.concat([header, cipher.update(inner), cipher.final(), cipher.getAuthTag()]);
    const opened = Buffer.alloc(inner.length);
    const size = opener.open(other, 0, other.length - recordHeaderBytes, opened, 0);
    return (
      size === inner.length && opened.equals(inner) && inner.toString("latin1", 0, content.length) === "known text"
    );
  } finally {
    sealer.free();
    opener.free();
  }
}
