"""The wire client: DynamoDB's requests as bytes, signed and sent over kept connections, without the SDK's client.

* `client`: sends one request once.
* `messages`, `signature`: requests and answers as bytes, without input and output.
* `connections`: HTTP over at most so many connections.
* `service`: where the service is and how it is reached, asked of botocore.
* `credentials`: which keys sign, asked of botocore.
* `variables`: both, without botocore, if environment variables alone say so.
* `endpoint`: what each request to an endpoint has in common.
* `fallback`: the same requests over botocore's signer and HTTP session.
* `failures`: how an attempt can fail, whichever of the two sends it.
"""
