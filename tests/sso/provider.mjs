// A real OpenID provider on this machine: PORT, REDIRECT, KEY (a private JWK as JSON), CLIENT_SECRET come from the environment.
import Provider from 'oidc-provider'

const { PORT, REDIRECT, KEY, CLIENT_SECRET } = process.env
const provider = new Provider(`http://127.0.0.1:${PORT}`, {
  clients: [{
    client_id: 'recsaas', client_secret: CLIENT_SECRET, redirect_uris: [REDIRECT],
    grant_types: ['authorization_code'], response_types: ['code'],
  }],
  jwks: { keys: [JSON.parse(KEY)] },
  cookies: { keys: ['of a test'] },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'groups'] },
  pkce: { required: () => true },
  features: { devInteractions: { enabled: true } },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@example.com`, email_verified: true, name: id, groups: ['help'] }),
  }),
})
provider.listen(Number(PORT), '127.0.0.1', () => console.log('ready'))
