// Two people in the `chat` example, each with a browser page.

const LINES = [
  ['Ännchen', 'Grüße aus Zürich: 你好, 👩‍👩‍👧‍👦!'],
  ['bob', 'привет <b>& bye</b>'],
];

export async function chatChecks(browser, address, checks) {
  const [ann, bob] = [await browser.newPage(), await browser.newPage()];

  await checks.check('chat: two pages join', async () => {
    await join(ann, address, 'Ännchen');
    await join(bob, address, 'bob');
    await sees(ann, 'bob joined');
  });

  for (const [name, line] of LINES) {
    await checks.check(`chat: both see what ${name} says`, async () => {
      await (name === 'bob' ? bob : ann).fill('#text', line);
      await (name === 'bob' ? bob : ann).press('#text', 'Enter');
      await sees(ann, `${name}: ${line}`);
      await sees(bob, `${name}: ${line}`);
    });
  }

  await checks.check('chat: one sees the other leave', async () => {
    await bob.close();
    await sees(ann, 'bob left');
  });

  await checks.check('chat: and come back, and leave by another page', async () => {
    const again = await browser.newPage();
    await join(again, address, 'bob again');
    await sees(ann, 'bob again joined');
    await ann.goto('about:blank');
    await sees(again, 'Ännchen left');
    await again.close();
  });

  await ann.close();
}

async function join(page, address, name) {
  await page.goto(`${address}/?${new URLSearchParams({ name })}`);
  await page.locator('#text:enabled').waitFor(); // enabled once the WebSocket is open
}

async function sees(page, line) {
  await page.locator('#log').getByText(line, { exact: true }).waitFor();
}
