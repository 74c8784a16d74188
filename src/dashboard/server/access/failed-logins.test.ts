import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../limits.ts";
import { HandClock } from "../../../base/testing/index.ts";
import { FailedLogins } from "./failed-logins.ts";

function fail(logins: FailedLogins, address: string, times = limits.failedLoginsPerMinute): void {
  for (let time = 0; time < times; time += 1) logins.add(address);
}

test("an address with too many failed logins waits a minute, without affecting others", () => {
  const clock = new HandClock();
  const logins = new FailedLogins(clock);
  fail(logins, "10.0.0.1");
  assert.throws(() => logins.check("10.0.0.1"), /too many logins from your address/);
  assert.doesNotThrow(() => logins.check("10.0.0.2"));
  clock.pass(61_000);
  assert.doesNotThrow(() => logins.check("10.0.0.1"));
});

test("addresses of one IPv6 network count as one", () => {
  const logins = new FailedLogins(new HandClock());
  fail(logins, "2001:db8:1:2::7");
  assert.throws(() => logins.check("2001:db8:1:2:aaaa:bbbb:cccc:dddd"), /too many/);
  assert.doesNotThrow(() => logins.check("2001:db8:1:3::7"));
  assert.doesNotThrow(() => logins.check("::1"));
});

test("remembered addresses are bounded, and expire after a minute", () => {
  const clock = new HandClock();
  const logins = new FailedLogins(clock);
  for (let index = 0; index < limits.failedLoginAddresses + 50; index += 1)
    logins.add(`10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`);
  assert.equal(logins.size, limits.failedLoginAddresses);
  clock.pass(61_000);
  logins.add("10.9.9.9");
  assert.equal(logins.size, 1);
});
