import assert from "node:assert/strict";
import { test } from "node:test";
import {
  addressBytes,
  cidrOf,
  isInsideAddress,
  isLoopbackAddress,
  isOwnMachineAddress,
  joinHostPort,
  urlHost,
} from "./ip-address.ts";

test("addresses of both families are parsed, and other texts refused", () => {
  assert.deepEqual([...(addressBytes("10.0.0.255") ?? [])], [10, 0, 0, 255]);
  assert.deepEqual([...(addressBytes("::ffff:10.0.0.1") ?? [])], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1]);
  for (const text of [
    "",
    "10.0.0",
    "10.0.0.256",
    "010.0.0.1",
    "a.b.c.d",
    "1::2::3",
    ":::",
    "1:2:3:4:5:6:7:8:9",
    "fe80::1%eth0",
  ]) {
    assert.equal(addressBytes(text), undefined, text);
  }
});

test("a prefix is a whole number within the address", () => {
  assert.equal(cidrOf("10.0.0.0/8")?.length, 8);
  assert.equal(cidrOf("10.0.0.1")?.length, 32);
  for (const text of ["10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8/8", "::/129", "/8"])
    assert.equal(cidrOf(text), undefined, text);
});

test("loopback, link-local and cloud credential addresses are recognized in every notation", () => {
  const inside = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "0.1.2.3",
    "169.254.169.254",
    "100.100.100.200",
    "::",
    "::1",
    "fe80::1",
    "febf::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "FD00:EC2:0:0::254",
    "fd20:ce::254",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::FFFF:a9fe:a9fe",
    "::127.0.0.1",
    "0:0:0:0:0:0:7f00:1",
    "64:ff9b::7f00:1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::a9fe:a9fe",
    "64:ff9b:1:ffff::127.0.0.1",
    "64:ff9b::",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "168.63.129.16",
    "192.0.0.192",
    "100.100.100.200",
    "fd00:ec2::254",
    "::ffff:168.63.129.16",
    "64:ff9b::168.63.129.16",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::192.0.0.192",
    "",
    "localhost",
    "127.1",
    "2130706433",
    "1.2.3.4.5",
  ];
  for (const address of inside) assert.equal(isInsideAddress(address), true, address);
  const outside = [
    "10.0.0.1",
    "128.0.0.1",
    "126.255.255.255",
    "169.253.255.255",
    "169.255.0.0",
    "100.100.100.201",
    "1.0.0.0",
    "192.168.1.1",
    "::2:0:0",
    "2001:db8::1",
    "fec0::1",
    "fd00:ec2::253",
    "fd00::1",
    "::ffff:10.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:2::7f00:1",
    "2002:a00:1::",
    "2003:7f00:1::",
  ];
  for (const address of outside) assert.equal(isInsideAddress(address), false, address);
});

test("an IPv6 address gets brackets in a URL and before a port, and other hosts stay as they are", () => {
  assert.deepEqual(["10.0.0.1", "::1", "web.shop"].map(urlHost), ["10.0.0.1", "[::1]", "web.shop"]);
  assert.equal(joinHostPort("fd00::1", 80), "[fd00::1]:80");
  assert.equal(joinHostPort("web.shop", "http"), "web.shop:http");
});

test("loopback and unspecified addresses are recognized, including mapped ones", () => {
  for (const address of ["127.0.0.1", "127.0.0.6", "::1", "::ffff:127.0.0.1", "::ffff:7f00:6"]) {
    assert.equal(isLoopbackAddress(address), true, address);
    assert.equal(isOwnMachineAddress(address), true, address);
  }
  for (const address of ["0.0.0.0", "::", "::ffff:0.0.0.0", "nonsense"]) {
    assert.equal(isLoopbackAddress(address), false, address);
    assert.equal(isOwnMachineAddress(address), true, address);
  }
  for (const address of ["10.0.0.1", "128.0.0.1", "::2", "::ffff:10.0.0.1", "2001:db8::127.0.0.1"]) {
    assert.equal(isLoopbackAddress(address), false, address);
    assert.equal(isOwnMachineAddress(address), false, address);
  }
});
